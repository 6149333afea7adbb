/** Charts: own SVG over time, each with its table. */
import { h, put, refresh, s, table } from './dom.js'
import { clock } from './format.js'

const [height, left, right, top, bottom] = [170, 62, 8, 8, 20]
const rowsMax = 60
let showsTables = false
const figures = new Set()

/** Show the tables of all figures, or their pictures. */
export function setTables(shown) {
  showsTables = shown
  for (const figure of figures)
    if (figure.isConnected) figure.dispatchEvent(new CustomEvent('tables', { detail: shown }))
}

/**
 * A figure with a picture and the same as a table.
 * @param keys `[[class, label, class of the kind], ...]`. @param makeTable called when it is shown
 */
export function figure(title, keys, picture, makeTable, more = {}) {
  const place = h('div', {}, picture)
  let isTable = showsTables
  const button = h('button', { type: 'button', onclick: () => show(!isTable) })
  const element = h(
    'figure',
    { class: more.wide ? 'wide' : null, 'data-figure': more.id, 'aria-label': title },
    h(
      'figcaption',
      {},
      h('h3', {}, title),
      keys.map(([name, label, kind = '']) =>
        h('span', { class: 'key' }, h('i', { class: `f-${name} ${kind}` }), label),
      ),
      button,
    ),
    place,
  )
  function show(wanted) {
    isTable = wanted
    put(button, isTable ? 'Picture' : 'Table')
    button.setAttribute('aria-label', `${title}: show the ${isTable ? 'picture' : 'table'}`)
    update()
  }
  function update() {
    if (isTable) (place.firstChild === picture ? put : refresh)(place, makeTable())
    else if (place.firstChild !== picture) put(place, picture)
  }
  element.addEventListener('tables', ({ detail }) => show(detail))
  figures.add(element)
  show(isTable)
  return { element, update, isPicture: () => !isTable, close: () => figures.delete(element) }
}

/** Tells the width of an element in pixels, first and after each change. @returns its end */
export function watchWidth(element, onWidth) {
  let width = 0
  const observer = new ResizeObserver(([entry]) => {
    const next = Math.round(entry.contentRect.width)
    if (next < 50 || next === width) return
    width = next
    onWidth(width)
  })
  observer.observe(element)
  return () => observer.disconnect()
}

/**
 * Lines over time.
 * @param options `{ title, series: [{ name, label, of(sample) }], format, isLog, isBytes }`
 */
export function timeChart({ id, title, series, format, isLog = false, isBytes = false }) {
  const svg = s('svg', { role: 'img', 'aria-label': `${title}, over time`, viewBox: `0 0 600 ${height}` })
  const hint = h('div', { class: 'hint', hidden: true })
  const plot = h('div', { class: 'plot' }, svg, hint)
  let [samples, width, view] = [[], 600, null]
  const makeTable = () => {
    const step = Math.max(1, Math.ceil(samples.length / rowsMax))
    const rows = samples.filter((_, k) => (samples.length - 1 - k) % step === 0).reverse()
    const head = ['time', ...series.map(({ label }) => ({ n: label }))]
    const text = value => ({ n: value === null ? '–' : format(value) })
    return table(
      title,
      head,
      rows.map(sample => [clock(sample.atMs), ...series.map(({ of }) => text(of(sample)))]),
    )
  }
  const keys = series.map(({ name, label }, k) => [name, label, `line-key dash-${k}`])
  const shown = figure(title, keys, plot, makeTable, { id })
  const draw = () => {
    view = scaleOf(samples, series, width, { isLog, isBytes })
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
    put(
      svg,
      axesOf(view, samples, format, width),
      series.map((each, k) => lineOf(each, samples, view, k)),
    )
  }
  svg.addEventListener('pointermove', event => {
    if (!view || samples.length === 0) return
    const box = svg.getBoundingClientRect()
    const at = view.fromMs + ((event.clientX - box.left) * (width / box.width) - left) / view.perMs
    const sample = samples.reduce((best, each) => (Math.abs(each.atMs - at) < Math.abs(best.atMs - at) ? each : best))
    const lines = series.map(({ label, of }) => `${label}  ${of(sample) === null ? '–' : format(of(sample))}`)
    put(hint, [clock(sample.atMs), ...lines].join('\n'))
    hint.hidden = false
    const x = ((view.x(sample.atMs) * box.width) / width) | 0
    hint.style.left = `${x > box.width / 2 ? x - hint.offsetWidth - 8 : x + 8}px`
    hint.style.top = '8px'
  })
  svg.addEventListener('pointerleave', () => {
    hint.hidden = true
  })
  const unwatch = watchWidth(plot, next => {
    width = next
    draw()
  })
  return {
    element: shown.element,
    update(next) {
      samples = next
      if (shown.isPicture()) draw()
      else shown.update()
    },
    close() {
      unwatch()
      shown.close()
    },
  }
}

function scaleOf(samples, series, width, { isLog, isBytes }) {
  const values = samples.flatMap(sample => series.map(({ of }) => of(sample)).filter(value => value !== null))
  const [fromMs, toMs] = [samples[0]?.atMs ?? 0, samples.at(-1)?.atMs ?? 1]
  const perMs = (width - left - right) / Math.max(1, toMs - fromMs)
  const usable = height - top - bottom
  const x = atMs => left + (atMs - fromMs) * perMs
  if (isLog) {
    const positive = values.filter(value => value > 0)
    const low = Math.floor(Math.log10(Math.min(...positive, 1e-4)))
    const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...positive, 1e-3))))
    const y = value => top + usable * (1 - (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low))
    return { x, y, fromMs, toMs, perMs, ticks: Array.from({ length: high - low + 1 }, (_, k) => 10 ** (low + k)) }
  }
  const most = values.reduce((max, value) => Math.max(max, value), 0)
  const max = isBytes ? bytesMax(most) : countMax(most)
  const y = value => top + usable * (1 - value / max)
  return { x, y, fromMs, toMs, perMs, ticks: [0, max / 2, max] }
}

/** The next power of two, from 1 KiB: it and its half are round sizes, with labels of their own. */
const bytesMax = value => 2 ** Math.max(10, Math.ceil(Math.log2(Math.max(1, value))))

/** The next of 1, 2, 4, 5, 8 times a power of ten, from 1. */
function countMax(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)))
  return [1, 2, 4, 5, 8, 10].find(each => each * power >= value) * power
}

function axesOf({ x, y, fromMs, toMs, ticks }, samples, format, width) {
  const lines = ticks.flatMap(tick => [
    s('line', { class: 'grid-line', x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
    s('text', { x: left - 6, y: y(tick) + 4, 'text-anchor': 'end' }, format(tick)),
  ])
  if (samples.length < 2) return [...lines, s('text', { x: left + 8, y: height / 2 }, 'Nothing yet')]
  const times = [fromMs, (fromMs + toMs) / 2, toMs].map((atMs, k) =>
    s('text', { x: x(atMs), y: height - 5, 'text-anchor': ['start', 'middle', 'end'][k] }, clock(atMs)),
  )
  return [...lines, ...times]
}

/**
 * Gaps where there is no value, or where no sample was taken for a while; a value alone is a dot.
 * @param k number of the series, which its dashes follow
 */
function lineOf({ name, of }, samples, { x, y }, k) {
  let [path, wasHere, beforeMs] = ['', false, 0]
  for (const sample of samples) {
    const value = of(sample)
    if (value === null) {
      wasHere = false
      continue
    }
    const isApart = sample.atMs - beforeMs > 15_000
    path += `${wasHere && !isApart ? 'L' : 'M'}${x(sample.atMs).toFixed(1)} ${y(value).toFixed(1)}`
    if (!wasHere || isApart) path += 'm-1 0h2m-1 0'
    wasHere = true
    beforeMs = sample.atMs
  }
  return s('path', { class: `c-${name} dash-${k}`, d: path })
}

/** A bar of parts of a whole, with marks; and its table. @param read `{ whole, parts: [[class, label, value]], marks }` */
export function barFigure(id, title, keys, format, makeRows) {
  const svg = s('svg', { role: 'img', 'aria-label': title })
  const plot = h('div', { class: 'plot' }, svg)
  let [read, width] = [{ whole: 1, parts: [], marks: [] }, 1100]
  const shown = figure(
    title,
    keys,
    plot,
    () => {
      const { head, rows } = makeRows(read)
      return table(title, head, rows)
    },
    { id, wide: true },
  )
  const draw = () => {
    const wide = value => Math.min(width, (width * value) / Math.max(1, read.whole))
    let at = 0
    const parts = read.parts.map(([name, , value]) => {
      const rect = s('rect', { class: `part f-${name}`, x: at, y: 18, width: Math.max(0, wide(value)), height: 20 })
      at += wide(value)
      return rect
    })
    // A label stands on the side of its mark that has more room.
    const label = (text, x, y) =>
      x < width / 2 ? s('text', { x: x + 4, y }, text) : s('text', { x: x - 4, y, 'text-anchor': 'end' }, text)
    const marks = read.marks.flatMap(([name, value], k) => [
      s('line', { class: 'mark', x1: wide(value), x2: wide(value), y1: 13, y2: 43 }),
      label(`${name} ${format(value)}`, wide(value), k % 2 ? 55 : 10),
    ])
    svg.setAttribute('viewBox', `0 0 ${width} 58`)
    put(svg, s('rect', { class: 'edge', x: 0, y: 18, width, height: 20 }), parts, marks)
  }
  const unwatch = watchWidth(plot, next => {
    width = next
    draw()
  })
  return {
    element: shown.element,
    close() {
      unwatch()
      shown.close()
    },
    update(next) {
      read = next
      if (shown.isPicture()) draw()
      else shown.update()
    },
  }
}
