/** Elements made from data. Text is always text: nothing here, or anywhere in the page, makes markup from a string. */

const svgSpace = 'http://www.w3.org/2000/svg'

/** An element; `props` are attributes, `on...` handlers, and `class`. Children are nodes, texts, or nothing. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children)
}

export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(svgSpace, tag), props, children)
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false))
  return element
}

// Control and format characters, those that turn the direction of text, ends of lines and lone surrogates.
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu

/** A foreign name: isolated from the text around it, and with invisible characters shown as their codes. */
export function foreign(text) {
  const parts = []
  let at = 0
  for (const match of text.matchAll(invisible)) {
    if (match.index > at) parts.push(text.slice(at, match.index))
    parts.push(h('span', { class: 'code' }, codeOf(match[0])))
    at = match.index + match[0].length
  }
  if (at < text.length) parts.push(text.slice(at))
  return h('bdi', { class: 'foreign' }, parts)
}

/** The same as plain text, for attributes and titles. */
export function plain(text) {
  return text.replace(invisible, codeOf)
}

function codeOf(character) {
  return `\\u{${character.codePointAt(0).toString(16)}}`
}

/** Replace the children of an element. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat().filter(child => child !== null && child !== undefined))
  return element
}

/**
 * The same as `put`, for children without listeners that are made anew each second: nodes that are there stay, and with
 * them the focus, a selection and the place where a table was scrolled to.
 */
export function refresh(element, ...children) {
  const next = children.flat().filter(child => child !== null && child !== undefined)
  match(
    element,
    next.map(child => (child instanceof Node ? child : document.createTextNode(child))),
  )
  return element
}

function match(element, next) {
  for (const [k, child] of next.entries()) {
    const old = element.childNodes[k]
    if (!old) element.append(child)
    else if (old.nodeName !== child.nodeName) old.replaceWith(child)
    else if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== child.data) old.data = child.data
    } else {
      for (const { name } of [...old.attributes]) if (!child.hasAttribute(name)) old.removeAttribute(name)
      for (const { name, value } of child.attributes)
        if (old.getAttribute(name) !== value) old.setAttribute(name, value)
      match(old, [...child.childNodes])
    }
  }
  while (element.childNodes.length > next.length) element.lastChild.remove()
}

/** A table of rows; a cell is a text, a number as text in `{n}`, or a node. Without a head it has names and values. */
export function table(caption, head, rows) {
  const cell = (tag, scope, value) => {
    const isNumber = value !== null && typeof value === 'object' && 'n' in value
    return h(tag, { class: isNumber ? 'n' : null, scope }, isNumber ? value.n : value)
  }
  const rowOf = ([name, ...values]) =>
    h(
      'tr',
      {},
      cell('th', 'row', name),
      values.map(value => cell('td', null, value)),
    )
  const headRow = head?.map(value => cell('th', 'col', value))
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${caption}, table` },
    h(
      'table',
      { class: head ? null : 'facts' },
      headRow && h('thead', {}, h('tr', {}, headRow)),
      h('tbody', {}, rows.map(rowOf)),
    ),
  )
}
