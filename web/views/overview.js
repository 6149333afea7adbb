/** Overview: throughput and latency of hits and misses, capacity, promotion and eviction. */
import { barFigure, timeChart } from '../chart.js'
import { h, refresh } from '../dom.js'
import { count, each, rate, share, size, time } from '../format.js'

const series = (name, label, column) => ({ name, label, of: sample => sample[column] })

export function overview(state) {
  const tiles = h('dl', { class: 'tiles' })
  const charts = [
    timeChart({
      ...{ id: 'throughput', title: 'Throughput', format: rate, isBytes: true },
      series: [series('hit', 'hits', 'hitBytes'), series('miss', 'misses', 'missBytes')],
    }),
    timeChart({
      ...{ id: 'reads', title: 'Reads', format: each },
      series: [series('hit', 'hits', 'hits'), series('miss', 'misses', 'misses')],
    }),
    timeChart({
      ...{ id: 'hit-latency', title: 'Latency of hits', format: time, isLog: true },
      series: [series('hit', 'p50', 'hitP50'), series('second', 'p99', 'hitP99')],
    }),
    timeChart({
      ...{ id: 'miss-latency', title: 'Latency of misses', format: time, isLog: true },
      series: [series('miss', 'p50', 'missP50'), series('second', 'p99', 'missP99')],
    }),
    timeChart({
      ...{ id: 'promotion', title: 'Promotion and eviction', format: rate, isBytes: true },
      series: [
        series('third', 'promoted', 'promotedBytes'),
        series('miss', 'evicted', 'evictedBytes'),
        series('hit', 'from the origin', 'originBytes'),
      ],
    }),
    timeChart({
      ...{ id: 'used', title: 'Used capacity', format: size, isBytes: true },
      series: [series('hit', 'used', 'usedBytes'), series('second', 'waiting for promotion', 'queuedBytes')],
    }),
  ]
  const capacity = barFigure(
    'capacity',
    'Capacity and watermarks',
    [['hit', 'used']],
    size,
    ({ whole, parts, marks }) => ({
      head: ['mark', { n: 'bytes' }, { n: 'share' }],
      rows: [...parts.map(([, label, value]) => [label, value]), ...marks, ['capacity', whole]].map(
        ([label, value]) => [label, { n: size(value) }, { n: share(value, whole) }],
      ),
    }),
  )
  const tile = (name, value, kind = '') =>
    h('div', { class: 'tile' }, h('dt', {}, name), h('dd', { class: kind }, value))
  return {
    title: 'Overview',
    element: h(
      'div',
      {},
      tiles,
      h(
        'div',
        { class: 'grid' },
        capacity.element,
        charts.map(({ element }) => element),
      ),
    ),
    update() {
      const { status, samples } = state
      if (!status) return
      const last = samples.at(-1)
      const { cache, health, origin, gauges, reads } = status
      refresh(
        tiles,
        tile('hits of all reads, now', last ? share(last.hits, last.hits + last.misses) : '–'),
        tile(
          'hits, since the start',
          `${share(reads.hits, reads.hits + reads.misses)} of ${count(reads.hits + reads.misses)}`,
        ),
        tile('latency p99, hits', last ? time(last.hitP99) : '–'),
        tile('latency p99, misses', last ? time(last.missP99) : '–'),
        tile(
          'used',
          `${size(cache.usedBytes)} of ${size(cache.capacityBytes)}`,
          cache.usedBytes > cache.highBytes ? 'warn' : '',
        ),
        tile('cache disk', health.state, health.state === 'healthy' ? 'good' : 'bad'),
        tile('origin', origin.state, origin.state === 'available' ? 'good' : 'bad'),
        tile('images open', `${count(gauges.openImages)} of ${count(cache.images)}`),
      )
      capacity.update({
        whole: cache.capacityBytes,
        parts: [['hit', 'used', cache.usedBytes]],
        marks: [
          ['eviction stops', cache.lowBytes],
          ['eviction starts', cache.highBytes],
        ],
      })
      for (const chart of charts) chart.update(samples)
    },
    close() {
      for (const each of [capacity, ...charts]) each.close()
    },
  }
}
