/** Miss-ratio curve: misses at other capacities, as `parentfs plan` estimates them, where the mount samples. */
import { figure, watchWidth } from '../chart.js'
import { h, put, s, table } from '../dom.js'
import { count, counted, share, size } from '../format.js'
import { watchReport } from '../report.js'

const refreshMs = 60_000
const [high, left, right, bottom] = [300, 56, 30, 30]
/** Room of one capacity below the curve, in pixels. */
const labelWide = 64

export function curve(state) {
  const svg = s('svg', { role: 'img', 'aria-label': 'Misses by capacity', viewBox: `0 0 1100 ${high}` })
  const plot = h('div', { class: 'plot' }, svg)
  const words = h('p', {}, 'Estimating…')
  let [plan, rows, wide] = [null, [], 1100]
  const keys = [
    ['miss', 'the eviction policy in force', 'line-key dash-0'],
    ['hit', 'exact LRU', 'line-key dash-1'],
  ]
  const shown = figure('Miss-ratio curve: misses of all reads, by capacity', keys, plot, () => tableOf(rows, plan), {
    id: 'curve',
    wide: true,
  })
  shown.element.hidden = true
  const stop = watchReport('plan', refreshMs, show, message => put(words, message))
  function show(next) {
    plan = next
    rows = (next?.capacities ?? []).filter(({ policy, lru }) => policy && lru)
    shown.element.hidden = rows.length === 0
    if (next === null) put(words, 'This mount estimates no miss-ratio curve.')
    else if (rows.length === 0) put(words, 'Nothing was read yet: a curve needs the reads of some hours.')
    else put(words, `Estimated from a sample of ${counted(next.reads, 'read')}. Eviction policy: ${next.policy}.`)
    draw()
  }
  function draw() {
    if (rows.length === 0) return
    if (!shown.isPicture()) return shown.update()
    // Capacities double: an even step for each.
    const logs = rows.map(({ capacityBytes }) => Math.log2(capacityBytes))
    const [first, last] = [Math.min(...logs), Math.max(...logs)]
    const x = bytes => left + ((wide - left - right) * (Math.log2(bytes) - first)) / Math.max(1e-9, last - first)
    const y = ratio => 14 + (high - bottom - 14) * (1 - ratio)
    const line = (name, k, of) => {
      const points = rows.map(row => `${x(row.capacityBytes).toFixed(1)} ${y(of(row).missRatio).toFixed(1)}`)
      return s('path', { class: `c-${name} dash-${k}`, d: `M${points.join('L')}` })
    }
    const now = plan.capacityBytes ?? state.status?.cache.capacityBytes
    const step = Math.ceil((rows.length * labelWide) / (wide - left - right))
    const isLate = x(now ?? 0) > wide / 2
    svg.setAttribute('viewBox', `0 0 ${wide} ${high}`)
    put(
      svg,
      [0, 0.25, 0.5, 0.75, 1].flatMap(tick => [
        s('line', { class: 'grid-line', x1: left, x2: wide - right, y1: y(tick), y2: y(tick) }),
        s('text', { x: left - 6, y: y(tick) + 4, 'text-anchor': 'end' }, `${100 * tick} %`),
      ]),
      rows
        .filter((_, k) => k % step === 0)
        .map(({ capacityBytes }) =>
          s('text', { x: x(capacityBytes), y: high - 8, 'text-anchor': 'middle' }, size(capacityBytes)),
        ),
      now ? s('line', { class: 'mark', x1: x(now), x2: x(now), y1: 14, y2: high - bottom }) : null,
      now
        ? s('text', { x: x(now) + (isLate ? -5 : 5), y: 26, 'text-anchor': isLate ? 'end' : 'start' }, 'capacity now')
        : null,
      line('hit', 1, row => row.lru),
      line('miss', 0, row => row.policy),
    )
  }
  const unwatch = watchWidth(plot, next => {
    wide = next
    draw()
  })
  return {
    title: 'Miss-ratio curve',
    element: h('div', {}, words, shown.element),
    update: () => shown.update(),
    close() {
      stop()
      unwatch()
      shown.close()
    },
  }
}

function tableOf(rows, plan) {
  const head = ['misses', 'from the origin', 'requests', 'misses, exact LRU', 'from the origin', 'requests']
  const cells = ({ missRatio, originBytes, originRequests }) => [
    { n: share(missRatio, 1) },
    { n: size(originBytes) },
    { n: count(Math.round(originRequests)) },
  ]
  return table(
    'Miss-ratio curve',
    ['capacity', ...head.map(n => ({ n }))],
    rows.map(({ capacityBytes, policy, lru }) => [
      `${size(capacityBytes)}${capacityBytes === plan.capacityBytes ? ' (now)' : ''}`,
      ...cells(policy),
      ...cells(lru),
    ]),
  )
}
