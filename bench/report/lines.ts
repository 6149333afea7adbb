/** Rows as lines for a terminal: a question, and below it who gave what. Pure. */
import { coldQuestions, warmQuestions } from '../compare/samples.ts'
import { figure } from './figure.ts'
import type { Row } from './ratios.ts'

/** @param reference with whom the others are compared */
export function linesOf(rows: readonly Row[], reference: string): string[] {
  const asked = [...warmQuestions, ...coldQuestions]
  const width = Math.max(...rows.map(({ contender }) => contender.length))
  return asked.flatMap(({ id, title, unit, better }) => {
    const distances = [...new Set(rows.filter(({ question }) => question === id).map(({ distance }) => distance))]
    return distances.flatMap(distance => {
      const answers = rows.filter(row => row.question === id && row.distance === distance)
      const where = distance === null ? '' : `, origin ${distance} away`
      return [
        `${title}${where} (${unit}, ${better} is better)`,
        ...answers.map(
          row => `    ${row.contender.padEnd(width)}  ${figure(row.median).padStart(8)}${beside(row, reference)}`,
        ),
      ]
    })
  })
}

function beside({ ratio, rounds }: Row, reference: string): string {
  if (!ratio || ratio.median === 0) return ''
  const spread = rounds > 1 ? ` (${figure(1 / ratio.max)} to ${figure(1 / ratio.min)})` : ''
  return `   ${reference} is ${figure(1 / ratio.median)} times as good${spread}`
}
