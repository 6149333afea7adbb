/** docs/BENCHMARKS.md between its marks: tables of ratios, out of one result. Pure. */
import type { Failure } from '../compare/samples.ts'
import type { Machine } from './machine.ts'
import type { Row } from './ratios.ts'
import { costs, leads, markdown, tablesOf } from './tables.ts'

const marks = ['<!-- Written by `make bench` from here -->', '<!-- to here -->'] as const

export interface PageParts {
  readonly machine: Machine
  readonly when: string
  readonly rounds: number
  readonly rows: readonly Row[]
  readonly failures: readonly Failure[]
  /** Contenders and scenes that could not run here. */
  readonly skipped: readonly { readonly what: string; readonly reason: string }[]
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

/** The page with the tables in the place of those of before. @throws Error when the marks are missing */
export function withTables(page: string, parts: PageParts): string {
  return between(page, marks, `\n\n${sections(parts)}\n`)
}

/** The page with `text` between two marks. @throws Error when the marks are missing */
export function between(page: string, [begin, end]: readonly [string, string], text: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the page has no place for it: ${begin}`)
  return `${page.slice(0, from + begin.length)}${text}${page.slice(to)}`
}

function sections(parts: PageParts): string {
  const { machine, when, rounds, rows, failures, skipped, reference, plots } = parts
  const { processor, processors, memoryGiB, kernel, system, load, versions } = machine
  const said = Object.entries(versions).map(([name, version]) =>
    version.includes(name) ? version : `${name} ${version}`,
  )
  return [
    `${when}; ${processors} x ${processor}, ${memoryGiB} GiB, Linux ${kernel}, ${system}; load ${load.toFixed(1)} at the beginning; rounds: ${rounds}.`,
    `${said.join(', ')}.`,
    '',
    shown(plots),
    ...tablesOf(rows, reference).flatMap(({ title, cells }) => [`## ${title}`, '', markdown(cells), '']),
    '## CPU and memory',
    '',
    markdown(costs(rows)),
    '',
    '## Rows in which another is ahead',
    '',
    'By 3 % or more in every round, and how many times as good it was.',
    '',
    ...leads(rows).map(lead => `- ${lead}`),
    '',
    ...skipped.map(({ what, reason }) => `Left out: ${what} (${reason}).\n`),
    ...failures.map(
      ({ contender, scene, round, reason }) =>
        `Failed: ${contender}, ${scene}, round ${round + 1}: ${reason.split('\n')[0]}\n`,
    ),
  ].join('\n')
}
