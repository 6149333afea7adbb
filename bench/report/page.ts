/** docs/BENCHMARKS.md between its marks: tables of ratios, out of one result. Pure. */
import prettyBytes from 'pretty-bytes'
import { coldQuestions, type Failure, type Question, warmQuestions } from '../compare/samples.ts'
import { figure } from './figure.ts'
import type { Machine } from './machine.ts'
import type { Row } from './ratios.ts'
import { whoIsAhead } from './reasons.ts'

const marks = ['<!-- Written by `make bench` from here -->', '<!-- to here -->'] as const

export interface PageParts {
  readonly machine: Machine
  readonly when: string
  readonly rounds: number
  readonly rows: readonly Row[]
  readonly failures: readonly Failure[]
  /** Contenders that could not run here, and why. */
  readonly skipped: readonly { readonly contender: string; readonly reason: string }[]
  readonly reference: string
  readonly plots: readonly Plot[]
}

/** A picture that the page shows. */
export interface Plot {
  /** Beside the page. */
  readonly path: string
  readonly title: string
}

/** As Markdown. */
export function shown(plots: readonly Plot[]): string {
  return plots.map(({ path, title }) => `![${title}](${path})\n`).join('\n')
}

/** Put the tables into the page, in the place of those of before. @throws Error when the marks are missing */
export function withTables(page: string, parts: PageParts): string {
  return between(page, marks, `\n\n${tables(parts)}\n`)
}

/** Put `text` between two marks of a page. @throws Error when the marks are missing */
export function between(page: string, [begin, end]: readonly [string, string], text: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the page has no place for it: ${begin}`)
  return `${page.slice(0, from + begin.length)}${text}${page.slice(to)}`
}

function tables({ machine, when, rounds, rows, failures, skipped, reference, plots }: PageParts): string {
  const { processor, processors, memoryGiB, kernel, system, load, versions } = machine
  const distances = [...new Set(rows.flatMap(({ distance }) => (distance === null ? [] : [distance])))]
  const said = Object.entries(versions).map(([name, version]) =>
    version.includes(name) ? version : `${name} ${version}`,
  )
  return [
    `${when}; ${processors} x ${processor}, ${memoryGiB} GiB, Linux ${kernel}, ${system}; load ${load.toFixed(1)} at the beginning; ${rounds} rounds.`,
    `${said.join(', ')}.`,
    '',
    `A ratio is ${reference} against the other in the same round: above 1, ${reference} is ahead. Median, with the least and the most in brackets.`,
    '',
    shown(plots),
    '## Warm: all of the image in the cache',
    '',
    table(warmQuestions, rows, null, reference),
    ...distances.flatMap(distance => [
      `## Cold: the origin ${distance} away`,
      '',
      table(coldQuestions, rows, distance, reference),
    ]),
    '## CPU and memory',
    '',
    costs(rows),
    '## Where another is ahead, and why',
    '',
    'Rows in which it was ahead by 3 % or more in every round, and how many times as good it was.',
    '',
    whoIsAhead(rows),
    ...skipped.map(({ contender, reason }) => `Not run: ${contender} (${reason}).\n`),
    ...failures.map(
      ({ contender, distance, round, reason }) =>
        `Failed: ${contender}${distance ? ` at ${distance}` : ''}, round ${round + 1}: ${reason.split('\n')[0]}\n`,
    ),
  ].join('\n')
}

/** A row a question, a column a contender. */
function table(
  questions: readonly Question[],
  rows: readonly Row[],
  distance: string | null,
  reference: string,
): string {
  const here = rows.filter(row => row.distance === distance && questions.some(({ id }) => id === row.question))
  const names = [...new Set(here.map(({ contender }) => contender))].filter(name => name !== reference)
  const lines = questions.flatMap(({ id, title, unit }) => {
    const own = here.find(row => row.question === id && row.contender === reference)
    if (!own) return []
    const cells = names.map(name => cell(here.find(row => row.question === id && row.contender === name)))
    return [`| ${[title, `${figure(own.median)} ${unit}`, ...cells].join(' | ')} |`]
  })
  const head = ['', reference, ...names.map(name => `against ${name}`)]
  return [`| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`, ...lines, ''].join('\n')
}

function cell(row: Row | undefined): string {
  if (!row) return '-'
  if (!row.ratio) return figure(row.median)
  // Their ratio to us, turned: how far we are ahead.
  const { median, min, max } = row.ratio
  return `${figure(1 / median)} (${figure(1 / max)} - ${figure(1 / min)})`
}

function costs(rows: readonly Row[]): string {
  const asked = ['cold-sequential', 'boot-cold', 'warm-4k-qd1', 'warm-4k-qd32']
  const lines = asked.flatMap(question =>
    rows
      .filter(row => row.question === question)
      .map(({ contender, distance, cpuMs, rssAnonBytes }) => {
        const memory = prettyBytes(rssAnonBytes, { binary: true })
        return `| ${question} | ${distance ?? ''} | ${contender} | ${(cpuMs / 1000).toFixed(2)} s | ${memory} |`
      }),
  )
  return ['| question | origin | contender | CPU time | private memory |', '|---|---|---|---|---|', ...lines, ''].join(
    '\n',
  )
}
