/** Fleet: the hosts that fetch from each other, around this one, where the mount has a fleet. */
import { figure } from '../chart.js'
import { foreign, h, plain, put, s, table } from '../dom.js'
import { count, size } from '../format.js'

const shownMax = 60

export function fleet(state) {
  const svg = s('svg', { role: 'img', 'aria-label': 'Graph of the fleet', viewBox: '0 0 800 420' })
  const words = h('p', {})
  let members = []
  const shown = figure(
    'Fleet',
    [
      ['third', 'alive'],
      ['miss', 'away'],
    ],
    svg,
    () =>
      table(
        'Fleet',
        ['host', 'state', { n: 'received from it' }, { n: 'requests' }, { n: 'errors' }],
        members.map(each => [
          foreign(each.name),
          each.state,
          { n: size(each.bytes) },
          { n: count(each.requests) },
          { n: count(each.errors) },
        ]),
      ),
    { id: 'fleet', wide: true },
  )
  return {
    title: 'Fleet',
    element: h('div', {}, words, shown.element),
    update() {
      members = membersOf(state.status)
      shown.element.hidden = members.length === 0
      put(words, members.length === 0 ? 'This mount belongs to no fleet.' : `${members.length} hosts.`)
      if (members.length === 0) return
      if (!shown.isPicture()) return shown.update()
      const most = members.reduce((max, { bytes }) => Math.max(max, bytes), 1)
      const around = members.slice(0, shownMax)
      put(
        svg,
        around.flatMap((each, k) => {
          const angle = (2 * Math.PI * k) / around.length - Math.PI / 2
          const [x, y] = [400 + 300 * Math.cos(angle), 210 + 165 * Math.sin(angle)]
          return [
            s('line', {
              class: 'link-line',
              x1: 400,
              y1: 210,
              x2: x,
              y2: y,
              'stroke-width': 1 + 5 * (each.bytes / most),
            }),
            s('circle', { class: each.isAlive ? 'f-third' : 'f-miss', cx: x, cy: y, r: 9 }),
            s('text', { x, y: y + 22, 'text-anchor': 'middle' }, plain(each.name).slice(0, 40)),
          ]
        }),
        s('circle', { class: 'f-hit', cx: 400, cy: 210, r: 14 }),
        s('text', { class: 'strong', x: 400, y: 240, 'text-anchor': 'middle' }, 'this host'),
      )
    },
    close: () => shown.close(),
  }
}

/** Members of the status; none where the mount has no fleet. */
function membersOf(status) {
  const list = status?.fleet?.members ?? status?.fleet?.peers ?? []
  return list.map(each => ({
    name: String(each.name ?? each.url ?? each.address ?? ''),
    state: String(each.state ?? ''),
    isAlive: !['away', 'dead', 'gone', 'left'].includes(each.state),
    ...{ bytes: each.bytes ?? 0, requests: each.requests ?? 0, errors: each.errors ?? 0 },
  }))
}
