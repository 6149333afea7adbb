/** Images: a window of the list, by order and search. */
import { get } from '../api.js'
import { foreign, h, plain, put } from '../dom.js'
import { count, counted, share, size } from '../format.js'

const pageImages = 100
const refreshMs = 10_000
const columns = [
  ['name', 'image', false],
  ['size', 'size', true],
  ['resident', 'in the cache', true],
  ['hits', 'hits', true],
  ['misses', 'misses', true],
]

export const linkTo = name => `#/image/${encodeURIComponent(name)}`

export function images(state) {
  const [body, summary] = [h('tbody'), h('span', { role: 'status' })]
  // Back from an image, the list is where it was.
  const { from: keptFrom = 0, order: keptOrder = 'name', search: keptSearch } = state.list ?? {}
  const isKept = keptSearch === state.search
  let [from, order, found, search, asking, timer] = [isKept ? keptFrom : 0, keptOrder, 0, state.search, null, 0]
  const back = h('button', { type: 'button', onclick: () => turn(-1) }, 'Previous (p)')
  const on = h('button', { type: 'button', onclick: () => turn(1) }, 'Next (n)')
  const heads = columns.map(([key, label, isNumber]) => {
    const button = h('button', { type: 'button', onclick: () => sortBy(key) }, label)
    return { key, th: h('th', { scope: 'col', class: isNumber ? 'n' : null }, button) }
  })
  const turn = pages => {
    from = Math.max(
      0,
      Math.min(from + pages * pageImages, Math.floor(Math.max(0, found - 1) / pageImages) * pageImages),
    )
    void load()
  }
  const sortBy = key => {
    ;[order, from] = [key, 0]
    void load()
  }
  async function load() {
    asking?.abort()
    clearTimeout(timer)
    state.list = { from, order, search }
    const mine = (asking = new AbortController())
    try {
      const params = { from, count: pageImages, order, search }
      const answer = await get('images', params, mine.signal)
      if (mine !== asking) return
      found = answer.found
      show(answer)
    } catch (error) {
      if (error.name === 'AbortError' || mine !== asking) return
      put(summary, error.message)
    }
    timer = setTimeout(() => (document.hidden ? undefined : load()), refreshMs)
  }
  function show({ images, total }) {
    for (const { key, th } of heads) {
      if (key === order) th.setAttribute('aria-sort', key === 'name' ? 'ascending' : 'descending')
      else th.removeAttribute('aria-sort')
    }
    const last = from + images.length
    put(
      summary,
      found === 0
        ? total === 0
          ? 'No image was looked up yet: list the mount, or open one.'
          : `None of ${counted(total, 'image')} has that in its name.`
        : `${from + 1} to ${last} of ${found}${found === total ? '' : `, found among ${total}`}`,
    )
    back.disabled = from === 0
    on.disabled = last >= found
    // The row in focus stays in focus.
    const focused = document.activeElement?.closest?.('tr')?.dataset.name
    put(body, images.map(rowOf))
    if (focused !== undefined)
      [...body.rows]
        .find(row => row.dataset.name === focused)
        ?.querySelector('a')
        .focus()
  }
  const visible = () => {
    if (!document.hidden) void load()
  }
  document.addEventListener('visibilitychange', visible)
  void load()
  return {
    title: 'Images',
    element: h(
      'figure',
      { 'data-figure': 'images' },
      h('div', { class: 'bar' }, h('h3', {}, 'Images'), summary, back, on),
      h(
        'div',
        { class: 'scroll tall' },
        h(
          'table',
          {},
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              heads.map(({ th }) => th),
              h('th', { scope: 'col' }, 'state'),
            ),
          ),
          body,
        ),
      ),
    ),
    update() {
      if (search === state.search) return
      ;[search, from] = [state.search, 0]
      void load()
    },
    onKey(key) {
      if (key === 'n') turn(1)
      else if (key === 'p') turn(-1)
      else if (key === 'j' || key === 'k') move(body, key === 'j' ? 1 : -1)
      else return false
      return true
    },
    close() {
      asking?.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', visible)
    },
  }
}

/** The focus to the next row, or the one before. */
function move(body, by) {
  const rows = [...body.rows]
  const at = rows.indexOf(document.activeElement?.closest?.('tr'))
  rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))]?.querySelector('a').focus()
}

function rowOf(image) {
  const held = h('meter', {
    min: 0,
    max: Math.max(1, image.sizeBytes),
    value: image.residentBytes,
    'aria-hidden': 'true',
  })
  const marks = [
    image.complete ? 'complete' : null,
    image.open ? 'open' : null,
    image.pinned ? 'pinned' : null,
    image.digest === 'mismatch' ? 'wrong digest' : null,
    image.mode && image.mode !== 'promote' ? `mode ${image.mode}` : null,
  ].filter(mark => mark !== null)
  return h(
    'tr',
    { 'data-name': image.name },
    h(
      'th',
      { class: 'name', scope: 'row' },
      h('a', { href: linkTo(image.name), title: plain(image.name) }, foreign(image.name)),
    ),
    h('td', { class: 'n' }, size(image.sizeBytes)),
    h(
      'td',
      { class: 'n' },
      held,
      h('span', { class: 'held' }, `${size(image.residentBytes)}, ${share(image.residentBytes, image.sizeBytes)}`),
    ),
    h('td', { class: 'n' }, `${count(image.hits)}, ${size(image.hitBytes)}`),
    h('td', { class: 'n' }, `${count(image.misses)}, ${size(image.missBytes)}`),
    h('td', {}, marks.join(', ')),
  )
}
