/** Fleet: the hosts that fetch from each other, around this one, where the mount has a group. */
import { figure, watchWidth } from '../chart.js'
import { foreign, h, plain, put, s, table } from '../dom.js'
import { count, counted, share, size, time } from '../format.js'
import { watchReport } from '../report.js'

const refreshMs = 5000
const shownMax = 60
const high = 460
/** Room of a label, in pixels of its letters of 11 pixels. */
const [charWide, lineHigh] = [7.2, 16]

export function fleet() {
  const svg = s('svg', { role: 'img', 'aria-label': 'Graph of the fleet', viewBox: `0 0 1100 ${high}` })
  const plot = h('div', { class: 'plot' }, svg)
  const words = h('p', {}, 'Asking…')
  let [members, wide] = [[], 1100]
  const keys = [
    ['hit', 'this host', 'round'],
    ['third', 'answers', 'round'],
    ['miss', 'does not'],
  ]
  const shown = figure('Fleet', keys, plot, () => tableOf(members), { id: 'fleet', wide: true })
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
    const others = members.filter(({ isOwn }) => !isOwn).length
    const left = others > shownMax ? ` ${shownMax} of them are drawn, the table has all.` : ''
    put(words, 'Group ', foreign(String(group.group)), `: ${counted(members.length, 'host')}${offload}.${left}`)
    draw()
  }
  function draw() {
    if (!shown.isPicture()) return shown.update()
    const others = members.filter(({ isOwn }) => !isOwn).slice(0, shownMax)
    const own = members.find(({ isOwn }) => isOwn)
    const most = others.reduce((max, each) => Math.max(max, bytesOf(each)), 1)
    const [x0, y0] = [wide / 2, 220]
    const hosts = others.map((each, k) => {
      const angle = (2 * Math.PI * k) / others.length
      const x = x0 + Math.max(100, x0 - 130) * Math.cos(angle)
      return { each, x, y: y0 + 175 * Math.sin(angle), name: plain(nameOf(each)) }
    })
    const label = labeller(wide)
    const ownLabel = label(own ? plain(nameOf(own)) : 'this host', x0, y0 + 32, 'strong')
    svg.setAttribute('viewBox', `0 0 ${wide} ${high}`)
    put(
      svg,
      hosts.map(({ each, x, y }) =>
        s('line', {
          ...{ class: 'link-line', x1: x0, y1: y0, x2: x, y2: y },
          'stroke-width': 1 + 6 * (bytesOf(each) / most),
        }),
      ),
      hosts.map(({ each, x, y, name }) =>
        isWell(each)
          ? s('circle', { class: 'f-third', cx: x, cy: y, r: 10 }, s('title', {}, name))
          : s('rect', { class: 'f-miss', x: x - 9, y: y - 9, width: 18, height: 18 }, s('title', {}, name)),
      ),
      s('circle', { class: 'f-hit', cx: x0, cy: y0, r: 15 }),
      ownLabel,
      hosts.map(({ x, y, name }) => label(name, x, y + 24, 'label')),
    )
  }
  const unwatch = watchWidth(plot, next => {
    wide = next
    draw()
  })
  return {
    title: 'Fleet',
    element: h('div', {}, words, shown.element),
    update: () => shown.update(),
    close() {
      stop()
      unwatch()
      shown.close()
    },
  }
}

/** Labels within the width; one that would lie on another is left out: the mark tells the name, the table has it. */
function labeller(wide) {
  const taken = []
  return (name, x, y, kind) => {
    const text = name.slice(0, 40)
    const half = (text.length * charWide) / 2
    const at = Math.max(half, Math.min(x, wide - half))
    if (taken.some(other => Math.abs(other.y - y) < lineHigh && Math.abs(other.at - at) < other.half + half))
      return null
    taken.push({ at, y, half })
    return s('text', { class: kind, x: at, y, 'text-anchor': 'middle' }, text)
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
