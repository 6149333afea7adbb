/** Health: the cache disk, each origin, storms, takeovers, and the work in the background. */
import { timeChart } from '../chart.js'
import { foreign, h, refresh, table } from '../dom.js'
import { age, count, counted, size, time } from '../format.js'
import { stormOf } from '../storm.js'

const series = (name, label, column) => ({ name, label, of: sample => sample[column] })
const kinds = { healthy: 'good', available: 'good', recovering: 'warn', degraded: 'warn', suspect: 'warn' }
const badge = state => h('span', { class: `badge ${kinds[state] ?? 'bad'}` }, state)

export function health(state) {
  const [disk, origins] = ['disk', 'origins'].map(id => h('figure', { class: 'wide', 'data-figure': id }))
  const [storm, work] = ['storm', 'work'].map(id => h('figure', { 'data-figure': id }))
  const charts = [
    timeChart({
      ...{ id: 'in-flight', title: 'In flight', format: count },
      series: [series('hit', 'requests of the kernel', 'requests'), series('miss', 'extents being fetched', 'fetches')],
    }),
    timeChart({
      ...{ id: 'lag', title: 'Lateness of the main thread, p99', format: time, isLog: true },
      series: [series('second', 'p99', 'lagP99')],
    }),
    timeChart({
      ...{ id: 'dropped', title: 'Extents not promoted, a second', format: count },
      series: [series('miss', 'dropped', 'droppedPromotions')],
    }),
    timeChart({
      ...{ id: 'origin-requests', title: 'Requests to the origin, a second', format: count },
      series: [series('hit', 'requests', 'originRequests')],
    }),
  ]
  const fact = (name, value) => [name, { n: value }]
  return {
    title: 'Health',
    element: h(
      'div',
      { class: 'grid' },
      disk,
      origins,
      storm,
      work,
      charts.map(({ element }) => element),
    ),
    update() {
      const { status, samples } = state
      if (!status) return
      const { health, takeovers, scrub, passthrough, prefetch, promotion, retirement, pinned, written } = status
      refresh(
        disk,
        h('figcaption', {}, h('h3', {}, 'Cache disk'), badge(health.state)),
        h(
          'p',
          {},
          health.reason === '' ? null : foreign(health.reason),
          ` Since ${age(health.sinceSeconds)}. `,
          `Too slow for readers ${counted(health.busyTimes, 'time')}.`,
        ),
      )
      const { isStorm, sentence, facts } = stormOf(status, samples)
      refresh(
        storm,
        h(
          'figcaption',
          {},
          h('h3', {}, 'Storm'),
          h('span', { class: `badge ${isStorm ? 'warn' : 'good'}` }, isStorm ? 'storm' : 'calm'),
        ),
        h('p', {}, sentence),
        table(
          'Storm',
          null,
          facts.map(([name, value]) => fact(name, value)),
        ),
      )
      refresh(origins, h('figcaption', {}, h('h3', {}, 'Origins')), originTable(status.origins))
      refresh(
        work,
        h('figcaption', {}, h('h3', {}, 'Workers and background work')),
        table('Background work', null, [
          fact('workers that took over', count(takeovers.count)),
          fact('longest pause of readers', `${takeovers.longestPauseMs} ms`),
          fact('outlives a dead worker', takeovers.possible ? 'yes' : 'no'),
          fact('read ahead and not read yet', size(prefetch.bufferedBytes)),
          fact('waiting for promotion', size(promotion.queuedBytes)),
          fact('promoted', size(promotion.promotedBytes)),
          ...(written ? [fact('written to the cache disk', size(written.bytes))] : []),
          ...(written && written.leftBytes !== null ? [fact('left of the write budget', size(written.leftBytes))] : []),
          fact('pinned images hold', `${size(pinned.heldBytes)} of ${size(pinned.allowedBytes)}`),
          fact('compared by the scrub', size(scrub.verifiedBytes)),
          fact('damaged blocks found', count(scrub.corruptBlocks)),
          fact(
            'read by the kernel itself',
            passthrough.off === '' ? counted(passthrough.images, 'image') : `none: ${passthrough.off}`,
          ),
          fact('superseded versions', count(retirement.superseded)),
        ]),
      )
      for (const chart of charts) chart.update(samples)
    },
    close() {
      for (const chart of charts) chart.close()
    },
  }
}

function originTable(origins) {
  const head = [
    'origin',
    'state',
    'mode',
    'reason',
    { n: 'requests' },
    { n: 'received' },
    { n: 'errors' },
    { n: 'waiting' },
    { n: 'outages' },
    { n: 'hedges won' },
  ]
  const rows = origins.map(each => [
    h('span', {}, each.name === null ? null : [foreign(each.name), ' '], foreign(each.url)),
    badge(each.state),
    each.mode ?? 'promote',
    each.reason === '' && each.unsupported === ''
      ? `since ${age(each.sinceSeconds)}`
      : foreign(`${each.reason}${each.unsupported}`),
    { n: count(each.requests) },
    { n: size(each.bytes) },
    { n: count(each.errors) },
    { n: count(each.waiting) },
    { n: count(each.outages) },
    { n: `${count(each.hedges.won)} of ${count(each.hedges.sent)}` },
  ])
  return table('Origins', head, rows)
}
