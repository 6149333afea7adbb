/** Plot of a plan: miss ratio by capacity, as an SVG of two lines. */
import type { PlanRow } from '../../cache/plan/plan.ts'
import type { PlanBasis } from '../../cache/plan/plan-basis.ts'
import { size } from './tables.ts'

const [width, height, left, top] = [720, 400, 70, 40] as const

/** @param rows in ascending order of their capacities */
export function plotOf({ capacityBytes: now, policy }: PlanBasis, rows: readonly PlanRow[]): string {
  const [low, high] = [rows[0]!.capacityBytes, rows.at(-1)!.capacityBytes].map(Math.log2) as [number, number]
  const x = (bytes: number) => left + ((Math.log2(bytes) - low) / (high - low || 1)) * (width - left - 30)
  const y = (ratio: number) => top + (1 - ratio) * (height - top - 60)
  const line = (of: (row: PlanRow) => number, color: string) => {
    const points = rows.map(row => `${x(row.capacityBytes).toFixed(1)},${y(of(row)).toFixed(1)}`)
    return `<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.join(' ')}"/>`
  }
  const text = (at: number, down: number, words: string, anchor = 'middle') =>
    `<text x="${at.toFixed(1)}" y="${down.toFixed(1)}" text-anchor="${anchor}">${words}</text>`
  const across = [0, 0.25, 0.5, 0.75, 1].map(ratio => {
    const rule = `<line x1="${left}" x2="${width - 30}" y1="${y(ratio)}" y2="${y(ratio)}" stroke="#ddd"/>`
    return `${rule}${text(left - 8, y(ratio) + 4, `${100 * ratio} %`, 'end')}`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    text(width / 2, 20, 'misses by capacity'),
    ...across,
    ...rows.map(({ capacityBytes }) => text(x(capacityBytes), height - 40, size(capacityBytes))),
    `<line x1="${x(now)}" x2="${x(now)}" y1="${top}" y2="${height - 60}" stroke="#999" stroke-dasharray="4"/>`,
    line(({ lru }) => lru.missRatio, '#1f77b4'),
    line(row => row.policy.missRatio, '#d62728'),
    `<g fill="#1f77b4">${text(left, height - 12, 'exact LRU', 'start')}</g>`,
    `<g fill="#d62728">${text(left + 100, height - 12, `eviction ${policy}`, 'start')}</g>`,
    '</svg>\n',
  ].join('\n')
}
