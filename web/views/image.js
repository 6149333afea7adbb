/** One image: facts, the map of its blocks, ages, boot profile, locations, actions. */
import { act, get } from '../api.js'
import { blockMap } from '../block-map.js'
import { barFigure, figure } from '../chart.js'
import { foreign, h, put, refresh, s, table } from '../dom.js'
import { count, counted, rate, share, size, time } from '../format.js'
import { watchReport } from '../report.js'
import { allowsActions } from '../session.js'

const refreshMs = 10_000
const locationsMs = 30_000
const ageNames = ['in the last minute', 'in ten minutes', 'in an hour', 'in a day', 'longer ago']
const ageClasses = ['hot', 'fetching', 'second', 'third', 'cold']

export function image(name) {
  const [facts, problem, locations] = [
    h('figure', { class: 'wide', 'data-figure': 'facts' }),
    h('p', { role: 'alert' }),
    h('div', { class: 'wide' }),
  ]
  const buttons = h('div', { class: 'bar' })
  // Empty pictures of an image that is not there say nothing.
  const rest = h('div', { hidden: true }, buttons)
  let [described, timer, isClosed] = [null, 0, false]
  const ages = barFigure(
    'ages',
    'Last use of what is held',
    ageNames.map((label, k) => [ageClasses[k], label]),
    size,
    ({ parts, whole }) => ({
      head: ['last use', { n: 'bytes' }, { n: 'share' }],
      rows: parts.map(([, label, value]) => [label, { n: size(value) }, { n: share(value, whole) }]),
    }),
  )
  const map = blockMap(name, ({ ages: bytes, heldBytes }) =>
    ages.update({ whole: heldBytes, parts: bytes.map((value, k) => [ageClasses[k], ageNames[k], value]), marks: [] }),
  )
  const profile = profileFigure()
  const complain = message => put(locations, h('p', {}, message))
  const stop = watchReport('locations', locationsMs, showLocations, complain, { image: name })
  const actions = actionsFor(name, buttons, () => void load())
  async function load() {
    clearTimeout(timer)
    try {
      described = await get('image', { image: name })
      if (isClosed) return
      put(problem)
      rest.hidden = false
      showFacts()
      profile.update(described)
      actions.update(described)
    } catch (error) {
      if (isClosed) return
      put(problem, error.message)
    }
    timer = setTimeout(() => (document.hidden ? undefined : load()), refreshMs)
  }
  function showFacts() {
    const { reads, profile } = described
    const rows = [
      ['size', size(described.sizeBytes)],
      [
        'in the cache',
        `${size(described.residentBytes)}, ${share(described.residentBytes, described.sizeBytes)}${described.complete ? ', complete' : ''}`,
      ],
      ['origin', foreign(described.origin)],
      ['version', foreign(described.validator)],
      ['digest', described.digest],
      ['mode', described.mode],
      ['pinned', described.pinned ? 'yes: it is not evicted' : 'no'],
      ['open', described.open ? 'yes' : 'no'],
      ['hits', `${count(reads.hits)}, ${size(reads.hitBytes)}`],
      [
        'misses',
        `${count(reads.misses)}, ${size(reads.missBytes)}${reads.misses > 0 ? `, ${(reads.missMs / reads.misses).toFixed(1)} ms each` : ''}`,
      ],
      ['boot profile', profile.state],
      ['modified', described.modifiedMs === 0 ? 'unknown' : new Date(described.modifiedMs).toISOString()],
      ['id', described.imageId],
    ]
    refresh(facts, h('figcaption', {}, h('h3', {}, 'Facts')), table('Facts', null, rows))
  }
  function showLocations(list) {
    if (list === null) return put(locations)
    const head = ['location', 'state', 'why', { n: 'latency' }, { n: 'rate' }, { n: 'requests' }, { n: 'errors' }]
    const rows = list.map(each => [
      foreign(each.url),
      `${each.state}${each.isRead ? ', read next' : ''}`,
      foreign(each.reason),
      { n: each.latencyMs === null ? '–' : time(each.latencyMs / 1000) },
      { n: each.bytesPerSecond === null ? '–' : rate(each.bytesPerSecond) },
      { n: count(each.requests) },
      { n: count(each.errors) },
    ])
    const caption = h('figcaption', {}, h('h3', {}, 'Locations'))
    put(locations, h('figure', { class: 'wide', 'data-figure': 'locations' }, caption, table('Locations', head, rows)))
  }
  const visible = () => {
    if (!document.hidden) void load()
  }
  rest.append(h('div', { class: 'grid' }, map.element, ages.element, profile.element, locations, facts))
  document.addEventListener('visibilitychange', visible)
  void load()
  return {
    title: name,
    element: h('div', {}, h('h2', {}, foreign(name)), problem, rest),
    update() {},
    onKey: key => map.onKey(key),
    close() {
      isClosed = true
      stop()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', visible)
      for (const each of [map, ages, profile, actions]) each.close()
    },
  }
}

function profileFigure() {
  const svg = s('svg', {
    role: 'img',
    'aria-label': 'Boot profile over the image',
    viewBox: '0 0 1000 24',
    preserveAspectRatio: 'none',
  })
  let described = null
  const shown = figure(
    'Boot profile',
    [['fetching', 'read after a cold open']],
    svg,
    () => {
      const ranges = described?.profile.ranges ?? []
      const rows = ranges.map(([offset, length], k) => [{ n: String(k + 1) }, { n: size(offset) }, { n: size(length) }])
      if (described?.profile.moreRanges > 0)
        rows.push([{ n: 'and' }, { n: count(described.profile.moreRanges) }, { n: 'more' }])
      return table('Boot profile', [{ n: 'order' }, { n: 'at' }, { n: 'length' }], rows)
    },
    { id: 'profile', wide: true },
  )
  const words = h('p', { class: 'faint' })
  shown.element.append(words)
  return {
    ...shown,
    update(next) {
      described = next
      const { profile, sizeBytes } = next
      put(
        words,
        profile.openers > 0
          ? `${size(profile.bytes)}, learned from ${counted(profile.openers, 'cold open')}.`
          : profile.state,
      )
      if (!shown.isPicture()) return shown.update()
      const x = bytes => (1000 * bytes) / Math.max(1, sizeBytes)
      put(
        svg,
        s('rect', { class: 'edge', x: 0, y: 0, width: 1000, height: 24 }),
        profile.ranges.map(([offset, length]) =>
          s('rect', {
            class: 'f-fetching',
            x: x(offset).toFixed(2),
            y: 2,
            width: Math.max(0.7, x(length)).toFixed(2),
            height: 20,
          }),
        ),
      )
    },
  }
}

/** Buttons, where actions are allowed. Evicting is asked for twice. */
function actionsFor(name, place, onDone) {
  if (!allowsActions()) return { update() {}, close() {} }
  const leave = new AbortController()
  const [said, bar] = [h('span', { role: 'status' }), h('progress', { hidden: true, max: 1, 'aria-label': 'Progress' })]
  let [isPinned, isBusy, isAsked] = [false, false, false]
  const button = (label, onclick, onblur) => h('button', { type: 'button', onclick, onblur }, label)
  const setBusy = next => {
    isBusy = next
    // Not disabled: the focus would be lost.
    for (const each of place.querySelectorAll('button')) each.setAttribute('aria-disabled', String(isBusy))
  }
  const run = async action => {
    if (isBusy) return
    setBusy(true)
    put(said, `${action}…`)
    try {
      const result = await act(
        action,
        name,
        ({ doneBytes, totalBytes }) => {
          bar.hidden = false
          bar.value = totalBytes > 0 ? doneBytes / totalBytes : 0
          put(said, `${action}: ${size(doneBytes)} of ${size(totalBytes)}`)
        },
        leave.signal,
      )
      put(said, resultOf(action, result))
    } catch (error) {
      if (error.name !== 'AbortError') put(said, error.message)
    }
    setBusy(false)
    bar.hidden = true
    onDone()
  }
  const pin = button('Pin', () => run(isPinned ? 'unpin' : 'pin'))
  const askForEviction = next => {
    isAsked = next
    put(evict, isAsked ? 'Evict: press again' : 'Evict')
  }
  const pressEvict = () => {
    if (isBusy) return
    if (isAsked) void run('evict')
    askForEviction(!isAsked)
  }
  const evict = button('Evict', pressEvict, () => askForEviction(false))
  put(
    place,
    button('Promote all of it', () => run('promote')),
    pin,
    evict,
    bar,
    said,
  )
  return {
    update(described) {
      isPinned = described.pinned
      put(pin, isPinned ? 'Unpin' : 'Pin')
    },
    close: () => leave.abort(),
  }
}

function resultOf(action, result) {
  if (action === 'promote') return `${size(result.promotedBytes)} promoted, ${size(result.presentBytes)} were there.`
  if (action === 'evict') {
    if (!result.leftBytes) return `${size(result.bytes)} evicted.`
    const why =
      result.leftBy === 'passthrough' ? 'stay: the kernel reads the file by itself' : 'came back: they are in use'
    return `${size(result.bytes)} evicted, ${size(result.leftBytes)} ${why}.`
  }
  return action === 'pin' ? 'Pinned.' : 'Not pinned any more.'
}
