/** Fleet: the hosts that fetch from each other, around this one, where the mount has a group. */
import { figure } from '../chart.js'
import { foreign, h, plain, put, s, table } from '../dom.js'
import { count, share, size, time } from '../format.js'
import { watchReport } from '../report.js'

const refreshMs = 5000
const shownMax = 60

export function fleet() {
  const svg = s('svg', { role: 'img', 'aria-label': 'Graph of the fleet', viewBox: '0 0 1100 460' })
  const words = h('p', {}, 'Asking…')
  let members = []
  const keys = [
    ['third', 'answers'],
    ['miss', 'does not'],
  ]
  const shown = figure('Fleet', keys, svg, () => tableOf(members), { id: 'fleet', wide: true })
  shown.element.hidden = true
  const stop = watchReport('fleet', refreshMs, show, message => put(words, message))
  function show(group) {
    members = group?.members ?? []
    shown.element.hidden = group === null
    if (group === null) return put(words, 'This mount belongs to no fleet.')
    const offload =
      group.offload === null || group.offload === undefined
        ? ''
        : `, ${share(group.offload, 1)} of bytes come from other hosts`
    put(words, 'Group ', foreign(String(group.group)), `: ${members.length} hosts${offload}.`)
    draw()
  }
  function draw() {
    if (!shown.isPicture()) return shown.update()
    const others = members.filter(({ isOwn }) => !isOwn).slice(0, shownMax)
    const own = members.find(({ isOwn }) => isOwn)
    const most = others.reduce((max, each) => Math.max(max, bytesOf(each)), 1)
    put(
      svg,
      others.flatMap((each, k) => {
        const angle = (2 * Math.PI * k) / others.length - Math.PI / 2
        const [x, y] = [550 + 420 * Math.cos(angle), 220 + 175 * Math.sin(angle)]
        return [
          s('line', {
            class: 'link-line',
            x1: 550,
            y1: 220,
            x2: x,
            y2: y,
            'stroke-width': 1 + 6 * (bytesOf(each) / most),
          }),
          s('circle', { class: isWell(each) ? 'f-third' : 'f-miss', cx: x, cy: y, r: 10 }),
          s('text', { x, y: y + 24, 'text-anchor': 'middle' }, plain(nameOf(each)).slice(0, 40)),
        ]
      }),
      s('circle', { class: 'f-hit', cx: 550, cy: 220, r: 15 }),
      s(
        'text',
        { class: 'strong', x: 550, y: 252, 'text-anchor': 'middle' },
        own ? plain(nameOf(own)).slice(0, 40) : 'this host',
      ),
    )
  }
  return {
    title: 'Fleet',
    element: h('div', {}, words, shown.element),
    update: () => shown.update(),
    close() {
      stop()
      shown.close()
    },
  }
}

const nameOf = ({ url, id }) =>
  String(url ?? id ?? '')
    .replace(/^https?:\/\//, '')
    .replace(/\/$/, '')
const bytesOf = ({ bytes }) => bytes ?? 0
const isWell = ({ state, health }) => state !== 'vanished' && (health ?? 'well') === 'well'

function tableOf(members) {
  const head = [
    'host',
    'state',
    'health',
    'why',
    { n: 'latency' },
    { n: 'received from it' },
    { n: 'requests' },
    { n: 'refused' },
    { n: 'failed' },
  ]
  const rows = members.map(each => [
    h('span', {}, foreign(nameOf(each)), each.isOwn ? ' (this host)' : ''),
    String(each.state ?? ''),
    String(each.health ?? ''),
    foreign(String(each.reason ?? '')),
    { n: time(each.latencyMs === null || each.latencyMs === undefined ? null : each.latencyMs / 1000) },
    { n: size(bytesOf(each)) },
    { n: count(each.requests ?? 0) },
    { n: count(each.refusals ?? 0) },
    { n: count(each.failures ?? 0) },
  ])
  return table('Fleet', head, rows)
}
