/** Tables of a comparison: one a scene, a row a question, a column a contender. Pure. */
import prettyBytes from 'pretty-bytes'
import { questions, scenes } from '../compare/samples.ts'
import { figure } from './figure.ts'
import type { Row } from './ratios.ts'

export type Cells = readonly (readonly string[])[]

export interface Table {
  readonly title: string
  /** The first row is the head. */
  readonly cells: Cells
}

/** Less than this is no lead: two runs of the same program differ by it. */
const leadMin = 1.03

/** @param reference its values are figures, those of the others ratios to it, with least and most */
export function tablesOf(rows: readonly Row[], reference: string): Table[] {
  return scenes.flatMap(({ id: scene, title, life }) => {
    const here = rows.filter(row => row.scene === scene)
    if (here.length === 0) return []
    const names = [...new Set(here.map(({ contender }) => contender))].filter(name => name !== reference)
    const lines = questions.flatMap(({ id, title, unit, life: own }) => {
      const answers = here.filter(row => row.question === id)
      if (own !== life || answers.length === 0) return []
      const of = (name: string) => answers.find(({ contender }) => contender === name)
      const value = of(reference)
      return [[title, value ? `${figure(value.median)} ${unit}` : '-', ...names.map(name => cell(of(name), unit))]]
    })
    return [{ title, cells: [['', reference, ...names], ...lines] }]
  })
}

/** A ratio turned: times as good as the other is the reference. */
function cell(row: Row | undefined, unit: string): string {
  if (!row) return '-'
  if (!row.ratio) return `${figure(row.median)} ${unit}`
  const { median, min, max } = row.ratio
  return row.rounds === 1 ? figure(1 / median) : `${figure(1 / median)} (${figure(1 / max)} - ${figure(1 / min)})`
}

/** Processor time and private memory of the questions that need most of them. */
export function costs(rows: readonly Row[]): Cells {
  const asked = ['cold-16', 'sequential', 'boot', 'storm-reads', 'warm-4k-qd1', 'warm-4k-qd32']
  const lines = rows
    .filter(({ question, rssAnonBytes }) => asked.includes(question) && rssAnonBytes > 0)
    .map(({ question, scene, contender, cpuMs, rssAnonBytes }) => {
      const memory = prettyBytes(rssAnonBytes, { binary: true })
      return [scene, question, contender, `${(cpuMs / 1000).toFixed(2)} s`, memory]
    })
  return [['scene', 'question', 'contender', 'CPU time', 'private memory'], ...lines]
}

/** A line for each question in which a contender is ahead of the reference in every round. */
export function leads(rows: readonly Row[]): string[] {
  return scenes.flatMap(({ id: scene, title }) =>
    questions.flatMap(({ id, title: asked }) => {
      const ahead = rows.filter(
        row => row.scene === scene && row.question === id && row.ratio !== null && row.ratio.min >= leadMin,
      )
      if (ahead.length === 0) return []
      const said = ahead.map(({ contender, ratio }) => `${contender} ${figure(ratio!.median)}`)
      return [`${title}: ${asked}: ${said.join(', ')}`]
    }),
  )
}

/** A line for each contender that is further ahead of the reference than in each round of a kept result. */
export function lossesOf(rows: readonly Row[], kept: readonly Row[]): string[] {
  return rows.flatMap(({ scene, question, contender, ratio }) => {
    const before = kept.find(row => row.scene === scene && row.question === question && row.contender === contender)
    if (!before?.ratio || !ratio || ratio.median <= before.ratio.max) return []
    return [
      `${scene}: ${question}: ${contender} ${figure(ratio.median)}, and at most ${figure(before.ratio.max)} before`,
    ]
  })
}

export function markdown([head, ...lines]: Cells): string {
  return [head!, head!.map(() => '---'), ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

/** For a terminal: columns as wide as their widest cell. */
export function aligned(cells: Cells): string[] {
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map(line => line[column]!.length)))
  return cells.map(line =>
    line
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
}
