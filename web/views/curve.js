/** Miss-ratio curve: misses at other capacities, as `parentfs plan` estimates them, where the mount samples. */
import { figure } from '../chart.js'
import { h, put, s, table } from '../dom.js'
import { share, size } from '../format.js'

export function curve(state) {
  const svg = s('svg', { role: 'img', 'aria-label': 'Share of reads that miss, by capacity', viewBox: '0 0 600 260' })
  const words = h('p', {})
  let points = []
  const shown = figure(
    'Miss-ratio curve',
    [['miss', 'share of bytes that miss']],
    svg,
    () =>
      table(
        'Miss-ratio curve',
        [{ n: 'capacity' }, { n: 'misses' }],
        points.map(({ capacityBytes, missRatio }) => [{ n: size(capacityBytes) }, { n: share(missRatio, 1) }]),
      ),
    { id: 'curve', wide: true },
  )
  return {
    title: 'Miss-ratio curve',
    element: h('div', {}, words, shown.element),
    update() {
      points = curveOf(state.status)
      shown.element.hidden = points.length === 0
      put(
        words,
        points.length === 0
          ? 'This mount estimates no miss-ratio curve.'
          : 'An estimate from samples of the reads until now: the misses that another capacity would have had.',
      )
      if (points.length === 0) return
      if (!shown.isPicture()) return shown.update()
      const max = points.at(-1).capacityBytes
      const [x, y] = [bytes => 50 + (540 * bytes) / max, ratio => 10 + 220 * (1 - ratio)]
      const capacity = Math.min(max, state.status.cache.capacityBytes)
      put(
        svg,
        [0, 0.5, 1].flatMap(tick => [
          s('line', { class: 'grid-line', x1: 50, x2: 590, y1: y(tick), y2: y(tick) }),
          s('text', { x: 44, y: y(tick) + 4, 'text-anchor': 'end' }, share(tick, 1)),
        ]),
        [0, 0.5, 1].map(part => s('text', { x: x(part * max), y: 250, 'text-anchor': 'middle' }, size(part * max))),
        s('line', { class: 'mark', x1: x(capacity), x2: x(capacity), y1: 10, y2: 230 }),
        s('text', { x: x(capacity) - 4, y: 22, 'text-anchor': 'end' }, 'capacity now'),
        s('path', {
          class: 'c-miss',
          d: points
            .map(
              ({ capacityBytes, missRatio }, k) =>
                `${k ? 'L' : 'M'}${x(capacityBytes).toFixed(1)} ${y(missRatio).toFixed(1)}`,
            )
            .join(''),
        }),
      )
    },
    close: () => shown.close(),
  }
}

/** Points of the status by capacity; none where the mount has none. */
function curveOf(status) {
  const list = status?.plan?.curve ?? status?.plan?.points ?? []
  return list
    .map(point => ({ capacityBytes: point.capacityBytes, missRatio: point.missRatio }))
    .filter(({ capacityBytes, missRatio }) => capacityBytes >= 0 && missRatio >= 0 && missRatio <= 1)
    .sort((a, b) => a.capacityBytes - b.capacityBytes)
}
