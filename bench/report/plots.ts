/** The plots of docs/BENCHMARKS.md: one a question that a reader would ask first. */
import { mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { coldQuestions, warmQuestions } from '../compare/samples.ts'
import { barChart } from './chart.ts'
import { figure } from './figure.ts'
import type { Plot } from './page.ts'
import type { Row } from './ratios.ts'

const far = '10 ms, 100 MiB/s'
const plotted: readonly (readonly [string, string | null])[] = [
  ['boot-cold', far],
  ['boot-cold-bytes', far],
  ['cold-random', far],
  ['cold-16-threads', far],
  ['cold-sequential', far],
  ['warm-4k-qd1', null],
  ['warm-4k-qd32', null],
]

/** Write `QUESTION.svg` for each plotted question that was asked. @returns them, as seen from beside the directory */
export async function writePlots(directory: string, rows: readonly Row[], reference: string): Promise<Plot[]> {
  const plots: Plot[] = []
  await mkdir(directory, { recursive: true })
  const questions = new Map([...coldQuestions, ...warmQuestions].map(question => [question.id, question]))
  for (const [id, distance] of plotted) {
    const asked = rows.filter(row => row.question === id && row.distance === distance)
    const { title, unit, better } = questions.get(id)!
    if (asked.length === 0) continue
    const bars = asked.map(({ contender, median }) => ({
      label: contender,
      value: median,
      said: `${figure(median)} ${unit}`,
      isOurs: contender.startsWith(reference),
    }))
    const where = distance === null ? '' : `, origin ${distance} away`
    const said = `${title}${where} (${better} is better)`
    await writeFile(join(directory, `${id}.svg`), barChart(said, bars))
    plots.push({ path: `${basename(directory)}/${id}.svg`, title: said })
  }
  return plots
}
