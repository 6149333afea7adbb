/**
 * Map of the blocks of an image: held, being fetched, hot, cold. A canvas of cells from the front to the end, as a table
 * its runs; the range can be narrowed down to single blocks.
 */
import { get } from './api.js'
import { figure } from './chart.js'
import { h, put, table } from './dom.js'
import { counted, share, size } from './format.js'

const [hot, fetching, heldMask] = [16, 32, 15]
const columns = 128
const cellPixels = 8
const runsShown = 300
const longest = 2 ** 53 - 1

/** @param onMap hears each map */
export function blockMap(name, onMap) {
  const canvas = h('canvas', { role: 'img', tabindex: '0', 'aria-label': 'Map of the blocks' })
  const [words, hint] = [h('p', { class: 'faint' }), h('p', { class: 'faint', 'aria-hidden': 'true' }, '\u00a0')]
  let [map, from, to, timer, isClosed, asked] = [null, 0, longest, 0, false, 0]
  const button = (label, title, onclick) => h('button', { type: 'button', title, onclick }, label)
  const keys = [
    ['empty', 'not held'],
    ['cold', 'held, cold'],
    ['hot', 'held, hot'],
    ['fetching', 'being fetched'],
  ]
  const picture = h(
    'div',
    {},
    canvas,
    hint,
    h(
      'div',
      { class: 'bar' },
      button('Closer (+)', 'A quarter of the range, around its middle', () => zoom(0.25)),
      button('Wider (-)', 'Four times the range', () => zoom(4)),
      button('Back (<)', 'Half a range towards the front', () => shift(-0.5)),
      button('On (>)', 'Half a range towards the end', () => shift(0.5)),
      button('All (0)', 'The whole image', () => range(0, longest)),
    ),
  )
  const shown = figure('Blocks', keys, picture, () => tableOf(map), { id: 'map', wide: true })
  shown.element.append(words)
  function range(nextFrom, nextTo) {
    ;[from, to] = [Math.max(0, Math.floor(nextFrom)), Math.floor(nextTo)]
    void load()
  }
  function zoom(by, at = map && (map.from + map.to) / 2) {
    if (!map) return
    const half = ((map.to - map.from) * by) / 2
    const least = map.blockBytes * 32
    if (half * 2 >= map.sizeBytes) range(0, longest)
    else range(Math.min(at - Math.min(half, at), map.sizeBytes - 1), at + Math.max(half, least))
  }
  function shift(by) {
    if (!map || map.to - map.from >= map.sizeBytes) return
    const length = map.to - map.from
    const next = Math.max(0, Math.min(map.from + by * length, map.sizeBytes - length))
    range(next, next + length)
  }
  async function load() {
    clearTimeout(timer)
    const mine = ++asked
    let pauseMs = 5000
    try {
      const answer = await get('map', { image: name, from, to })
      if (isClosed || mine !== asked) return
      map = answer
      // What is on its way changes soon.
      pauseMs = Math.max(map.fetchingBytes > 0 ? 2000 : pauseMs, map.refreshMs)
      show()
      onMap(map)
    } catch (error) {
      if (isClosed || mine !== asked) return
      put(words, error.message)
    }
    timer = setTimeout(() => (document.hidden ? undefined : load()), pauseMs)
  }
  function show() {
    const whole = map.to - map.from >= map.sizeBytes
    put(
      words,
      `${whole ? 'The whole image' : `${size(map.from)} to ${size(map.to)}`}: ${size(map.heldBytes)} held`,
      `, ${share(map.heldBytes, map.to - map.from)}; ${size(map.fetchingBytes)} being fetched. A cell is ${size(map.cellBytes)}, as high as much of it is held.`,
    )
    canvas.setAttribute('aria-label', `Map of the blocks: ${words.textContent}`)
    if (shown.isPicture()) draw(canvas, map)
    else shown.update()
  }
  const cellAt = event => {
    const box = canvas.getBoundingClientRect()
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns)
    const row = Math.floor(((event.clientY - box.top) / box.height) * Math.ceil(map.cells / columns))
    return Math.min(map.cells - 1, Math.max(0, row * columns + column))
  }
  canvas.addEventListener('pointermove', event => {
    if (!map) return
    const cell = cellAt(event)
    put(hint, `${size(map.from + cell * map.cellBytes)}: ${namesOf(valueAt(map, cell))}`)
  })
  canvas.addEventListener('click', event => map && zoom(0.25, map.from + (cellAt(event) + 0.5) * map.cellBytes))
  const redraw = () => {
    if (map && !document.hidden) show()
  }
  const visible = () => {
    if (!document.hidden) void load()
  }
  document.addEventListener('visibilitychange', visible)
  document.addEventListener('themechange', redraw)
  void load()
  return {
    element: shown.element,
    onKey(key) {
      const moves = {
        '+': () => zoom(0.25),
        '-': () => zoom(4),
        '<': () => shift(-0.5),
        '>': () => shift(0.5),
        0: () => range(0, longest),
      }
      moves[key]?.()
      return key in moves
    },
    close() {
      isClosed = true
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', visible)
      document.removeEventListener('themechange', redraw)
      shown.close()
    },
  }
}

function draw(canvas, { runs, cells }) {
  const wide = Math.min(columns, cells)
  canvas.width = columns * cellPixels
  canvas.height = Math.max(1, Math.ceil(cells / columns)) * cellPixels
  const style = getComputedStyle(document.documentElement)
  const colour = name => style.getPropertyValue(`--${name}`).trim()
  const [empty, cold, warm, coming] = ['empty', 'cold', 'hot', 'fetching'].map(colour)
  const context = canvas.getContext('2d')
  context.clearRect(0, 0, canvas.width, canvas.height)
  let at = 0
  for (let k = 0; k < runs.length; k += 2) {
    const [value, count] = [runs[k], runs[k + 1]]
    const held = value & heldMask
    for (let end = at + count; at < end; ) {
      const [x, y] = [at % columns, Math.floor(at / columns)]
      const here = Math.min(end - at, wide - x)
      const fill = (style, from, height) => {
        context.fillStyle = style
        context.fillRect(x * cellPixels, y * cellPixels + from, here * cellPixels, height)
      }
      // As high as much is held, in eighths. What is on its way has a line to what is below it.
      fill(empty, 0, cellPixels)
      if (held > 0) fill(value & hot ? warm : cold, cellPixels - held, held)
      if (value & fetching) {
        fill(coming, 0, 3)
        fill(empty, 3, 1)
      }
      at += here
    }
  }
}

function valueAt({ runs }, cell) {
  let end = 0
  for (let k = 0; k < runs.length; k += 2) {
    end += runs[k + 1]
    if (cell < end) return runs[k]
  }
  return 0
}

function namesOf(value) {
  const held = value & heldMask
  const part = held === 0 ? 'not held' : held === 8 ? 'held' : `about ${Math.round((100 * held) / 8)} % held`
  const heat = held === 0 ? '' : value & hot ? ', hot' : ', cold'
  return `${part}${heat}${value & fetching ? ', being fetched' : ''}`
}

function tableOf(map) {
  if (!map) return h('p', {}, 'Nothing yet')
  const rows = []
  let at = 0
  for (let k = 0; k < map.runs.length && rows.length < runsShown; k += 2) {
    const length = Math.min(map.runs[k + 1] * map.cellBytes, map.to - map.from - at * map.cellBytes)
    rows.push([{ n: size(map.from + at * map.cellBytes) }, { n: size(length) }, namesOf(map.runs[k])])
    at += map.runs[k + 1]
  }
  const left = map.runs.length / 2 - rows.length
  if (left > 0) rows.push([{ n: '' }, { n: '' }, `and ${counted(left, 'more run')}: go closer`])
  return table('Blocks', [{ n: 'from' }, { n: 'length' }, 'state'], rows)
}
