/** Bars beside each other as SVG, readable on dark and on light. Pure. */

export interface Bar {
  readonly label: string
  readonly value: number
  /** Shown behind the bar. */
  readonly said: string
  readonly isOurs: boolean
}

const [labelWidth, barWidth, saidWidth, barHeight, top] = [190, 380, 170, 24, 44]
const style = `text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:15px}.ours{fill:#1a7f5a}.theirs{fill:#8c959f}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#3fb68b}.theirs{fill:#6e7681}}`

/** @param bars from top to bottom; their lengths are to scale from zero */
export function barChart(title: string, bars: readonly Bar[]): string {
  const height = top + bars.length * barHeight + 10
  const width = labelWidth + barWidth + saidWidth
  const longest = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE)
  const drawn = bars.map(({ label, value, said, isOurs }, k) => {
    const y = top + k * barHeight
    const length = Math.max(1, (value / longest) * barWidth)
    return [
      `<text x="${labelWidth - 8}" y="${y + 15}" text-anchor="end">${escaped(label)}</text>`,
      `<rect class="${isOurs ? 'ours' : 'theirs'}" x="${labelWidth}" y="${y + 2}" width="${length.toFixed(1)}" height="${barHeight - 7}" rx="2"/>`,
      `<text x="${(labelWidth + length + 6).toFixed(1)}" y="${y + 15}">${escaped(said)}</text>`,
    ].join('\n')
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}</style>`,
    `<text class="title" x="8" y="22">${escaped(title)}</text>`,
    ...drawn,
    '</svg>\n',
  ].join('\n')
}

/** A line through points, both axes logarithmic. */
export function lineChart(
  title: string,
  { x, y }: { readonly x: string; readonly y: string },
  points: readonly (readonly [number, number, string])[],
): string {
  const [width, height, left, bottom] = [620, 260, 80, 46]
  const [xs, ys] = [points.map(([at]) => Math.log(at)), points.map(([, value]) => Math.log(Math.max(value, 1e-9)))]
  const place = (value: number, all: readonly number[], from: number, to: number) => {
    const [low, high] = [Math.min(...all), Math.max(...all)]
    return high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from)
  }
  const at = points.map((_, k) => [
    place(xs[k]!, xs, left, width - 60),
    place(ys[k]!, [...ys, Math.max(...ys) + 0.7, Math.min(...ys) - 0.7], height - bottom, 44),
  ])
  const line = at.map(([px, py]) => `${px!.toFixed(1)},${py!.toFixed(1)}`).join(' ')
  const labels = points.map(([value, , said], k) => {
    const [px, py] = at[k]!
    return `<circle class="ours" cx="${px!.toFixed(1)}" cy="${py!.toFixed(1)}" r="3"/><text x="${px!.toFixed(1)}" y="${(py! - 9).toFixed(1)}" text-anchor="middle">${escaped(said)}</text><text x="${px!.toFixed(1)}" y="${height - 24}" text-anchor="middle">${value.toLocaleString('en')}</text>`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}polyline{fill:none;stroke:#1a7f5a;stroke-width:2}@media(prefers-color-scheme:dark){polyline{stroke:#3fb68b}}</style>`,
    `<text class="title" x="8" y="22">${escaped(title)}</text>`,
    `<polyline points="${line}"/>`,
    ...labels,
    `<text x="${width / 2}" y="${height - 6}" text-anchor="middle">${escaped(x)}</text><text x="8" y="42">${escaped(y)}</text>`,
    '</svg>\n',
  ].join('\n')
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
