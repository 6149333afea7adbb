/** The plots of docs/BENCHMARKS.md: one a question that a reader would ask first. */
import { mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { questions, scenes } from '../compare/samples.ts'
import { barChart } from './chart.ts'
import { figure } from './figure.ts'
import type { Plot } from './page.ts'
import type { Row } from './ratios.ts'

/** Question and scene. */
const plotted: readonly (readonly [string, string])[] = [
  ['cold-4k', 'near'],
  ['cold-16', 'near'],
  ['sequential', 'link'],
  ['boot', 'boot-cap'],
  ['boot-bytes', 'boot-cap'],
  ['warm-4k-qd1', 'complete'],
  ['warm-4k-qd32', 'complete'],
]

/** Write `QUESTION.svg` for each plotted question that was asked. @returns them, as seen from beside the directory */
export async function writePlots(directory: string, rows: readonly Row[], reference: string): Promise<Plot[]> {
  const plots: Plot[] = []
  await mkdir(directory, { recursive: true })
  for (const [id, sceneId] of plotted) {
    const asked = rows.filter(row => row.question === id && row.scene === sceneId)
    const { title, unit, better } = questions.find(question => question.id === id)!
    if (asked.length === 0) continue
    const bars = asked.map(({ contender, median }) => ({
      label: contender,
      value: median,
      said: `${figure(median)} ${unit}`,
      isOurs: contender.startsWith(reference),
    }))
    const where = scenes.find(scene => scene.id === sceneId)!.title
    const said = `${where}: ${title} (${better} is better)`
    await writeFile(join(directory, `${id}.svg`), barChart(said, bars))
    plots.push({ path: `${basename(directory)}/${id}.svg`, title: said })
  }
  return plots
}
