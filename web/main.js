/** The page: state, views by address, keys, themes. */
import { whenSessionIsLost } from './api.js'
import { setTables } from './chart.js'
import { h, plain, put } from './dom.js'
import { decoded, hasSession, logIn, redeemLink } from './session.js'
import { stormOf } from './storm.js'
import { follow } from './stream.js'
import { curve } from './views/curve.js'
import { fleet } from './views/fleet.js'
import { health } from './views/health.js'
import { image } from './views/image.js'
import { images } from './views/images.js'
import { overview } from './views/overview.js'

const samplesMax = 1200
const views = { overview, health, images, curve, fleet }
const labels = { overview: 'Overview', health: 'Health', images: 'Images', curve: 'Curve', fleet: 'Fleet' }
const keys = [
  ['1 to 5', 'overview, health, images, curve, fleet'],
  ['/', 'search images'],
  ['j k', 'next and previous image of the list; Enter opens it'],
  ['n p', 'next and previous page of the list'],
  ['+ - < > 0', 'the map of an image: closer, wider, back, on, all'],
  ['t', 'tables in place of pictures, and back'],
  ['d', 'dark, light, or as the system'],
  ['?', 'this help'],
  ['Esc', 'out of the search or the help'],
]

const at = id => document.getElementById(id)
const [main, search, notice, badge] = ['main', 'search', 'notice', 'state'].map(at)
/** Samples are objects by column. */
const state = { status: null, samples: [], search: '', columns: [], isGone: false }
let [view, shownHash, isFollowing] = [null, null, false]

function show(hash = location.hash) {
  if (!hasSession()) return showLogin(null)
  const [, name = '', rest = ''] = /^#\/(\w*)(?:\/(.*))?$/.exec(hash) ?? []
  const wanted = name === 'image' ? `image ${rest}` : name in views ? name : 'overview'
  if (wanted === shownHash) return
  shownHash = wanted
  view?.close()
  view = name === 'image' ? image(decoded(rest)) : views[wanted](state)
  document.title = `${plain(view.title)} – parentfs`
  for (const link of at('views').children) {
    const isCurrent = link.dataset.view === wanted || (name === 'image' && link.dataset.view === 'images')
    if (isCurrent) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  put(main, view.element)
  scrollTo(0, 0)
  main.dataset.view = name === 'image' ? 'image' : wanted
  view.update()
}

function showLogin(why) {
  view?.close()
  ;[view, shownHash] = [null, null]
  main.dataset.view = 'login'
  const said = h('p', { role: 'alert' }, why)
  const input = h('input', { type: 'password', autocomplete: 'off', 'aria-label': 'Link or token', required: true })
  const onsubmit = async event => {
    event.preventDefault()
    const refusal = await logIn(input.value)
    if (refusal === null) start()
    else put(said, refusal)
  }
  put(
    main,
    h(
      'form',
      { class: 'login', onsubmit },
      h('h2', {}, 'Log in'),
      h('p', {}, 'Paste a link that "parentfs web" has printed, or the token of web.token.'),
      input,
      h('button', {}, 'Log in'),
      said,
    ),
  )
  put(badge, 'logged out')
  input.focus()
}

function start() {
  show()
  if (isFollowing) return location.reload()
  isFollowing = true
  const tellHistory = follow({ history: takeHistory, snapshot: takeSnapshot, gone: takeGone })
  tellHistory(() => ({
    columns: state.columns,
    samples: state.samples.map(sample => state.columns.map(column => sample[column])),
    status: state.status,
  }))
}

const sampleOf = row => Object.fromEntries(state.columns.map((column, k) => [column, row[k]]))

/** Samples of before stay: a new worker knows none of them. */
function takeHistory({ columns, samples, status }) {
  state.columns = columns
  const next = samples.map(sampleOf)
  const firstMs = next[0]?.atMs ?? Number.POSITIVE_INFINITY
  state.samples = [...state.samples.filter(({ atMs }) => atMs < firstMs), ...next].slice(-samplesMax)
  takeStatus(status)
}

function takeSnapshot({ sample, status }) {
  if (sample && state.columns.length > 0) state.samples = [...state.samples, sampleOf(sample)].slice(-samplesMax)
  takeStatus(status)
}

function takeStatus(status) {
  state.status = status
  state.isGone = false
  notice.hidden = true
  put(at('mountpoint'), plain(status.mountpoint))
  const { isStorm } = stormOf(status, state.samples)
  const isWell = status.state === 'ready' && status.health.state === 'healthy' && status.origin.state === 'available'
  const words = status.state !== 'ready' ? status.state : !isWell ? 'trouble: see Health' : isStorm ? 'storm' : 'live'
  // A live region is not to speak each second.
  if (badge.textContent !== words) put(badge, words)
  badge.className = `badge ${isWell ? (isStorm ? 'warn' : 'good') : 'bad'}`
  if (!document.hidden) view?.update()
}

function takeGone(message) {
  state.isGone = true
  if (badge.textContent !== 'no daemon') put(badge, 'no daemon')
  badge.className = 'badge bad'
  if (notice.textContent !== message) put(notice, message)
  notice.hidden = false
}

const themes = ['system', 'dark', 'light']

function setTheme(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
  at('theme').dataset.theme = theme
  put(at('theme'), `Theme: ${theme}`)
  try {
    localStorage.setItem('parentfs-theme', theme)
  } catch {}
  document.dispatchEvent(new Event('themechange'))
}

function nextTheme() {
  setTheme(themes[(themes.indexOf(at('theme').dataset.theme) + 1) % themes.length])
}

function toggleTables() {
  const shown = at('tables').getAttribute('aria-pressed') !== 'true'
  at('tables').setAttribute('aria-pressed', String(shown))
  setTables(shown)
}

function onKey(event) {
  const { key, target } = event
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
  if (key === 'Escape' && target === search) return main.focus()
  if (target instanceof HTMLInputElement || at('keys').open) return
  const number = Object.keys(views)[Number(key) - 1]
  const isMap = main.dataset.view === 'image' && view?.onKey?.(key)
  if (key === '/') search.focus()
  else if (key === '?') at('keys').showModal()
  else if (key === 't') toggleTables()
  else if (key === 'd') nextTheme()
  else if (number && hasSession()) location.hash = `#/${number}`
  else if (!isMap && !view?.onKey?.(key)) return
  // The key itself must not land in the search.
  event.preventDefault()
}

function onSearch() {
  state.search = search.value
  if (!hasSession()) return
  if (main.dataset.view === 'images') view.update()
  else location.hash = '#/images'
}

function setUp() {
  const links = Object.entries(labels).map(([name, label], k) =>
    h('a', { href: `#/${name}`, 'data-view': name, 'aria-keyshortcuts': k + 1 }, label),
  )
  put(at('views'), links)
  put(
    at('keys'),
    h('h2', { id: 'keys-title' }, 'Keys'),
    h(
      'dl',
      {},
      keys.flatMap(([key, what]) => [h('dt', {}, key), h('dd', {}, what)]),
    ),
    h('button', { type: 'button', onclick: () => at('keys').close() }, 'Close'),
  )
  let theme = 'system'
  try {
    theme = localStorage.getItem('parentfs-theme') ?? theme
  } catch {}
  setTheme(themes.includes(theme) ? theme : 'system')
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () =>
    document.dispatchEvent(new Event('themechange')),
  )
  at('theme').addEventListener('click', nextTheme)
  at('tables').addEventListener('click', toggleTables)
  at('help').addEventListener('click', () => at('keys').showModal())
  search.addEventListener('input', onSearch)
  at('search-form').addEventListener('submit', event => {
    event.preventDefault()
    onSearch()
  })
  document.addEventListener('keydown', onKey)
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && state.status) view?.update()
  })
  addEventListener('hashchange', async () => {
    if (location.hash.startsWith('#token=')) await begin()
    else show()
  })
  whenSessionIsLost(showLogin)
}

async function begin() {
  const refusal = await redeemLink()
  if (hasSession()) start()
  else showLogin(refusal)
}

setUp()
await begin()
