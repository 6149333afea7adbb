/**
 * XML as S3 servers write it: the texts of its elements, in order. Pure.
 *
 * It is no parser for every XML: declarations of types, comments, CDATA and entities of a document's own are refused,
 * because no answer of the protocol has them.
 */

/** An element without others in it. */
export interface XmlLeaf {
  /** Names from the root on, with slashes between them; prefixes of namespaces are left out. */
  readonly path: string
  readonly text: string
}

/**
 * The leaves of a document.
 * @throws Error when it is not whole or not such XML
 */
export function* xmlLeavesOf(document: string): Generator<XmlLeaf> {
  const open: string[] = []
  let path = ''
  let text: string | null = null
  let at = 0
  const tag = /<(?:\?[^?]*\?|(\/?)([\w.-]+:)?([\w.-]+)((?:\s[^<>]*?)?)(\/?))>/y
  for (at = document.search(/\S/); at >= 0 && at < document.length; ) {
    if (document[at] !== '<') {
      const end = document.indexOf('<', at)
      const part = document.slice(at, end < 0 ? document.length : end)
      if (open.length === 0 && part.trim() !== '') throw new Error('text outside the document')
      if (text !== null) text += part
      at += part.length
      continue
    }
    tag.lastIndex = at
    const match = tag.exec(document)
    if (match === null) throw new Error('not XML of this protocol')
    at = tag.lastIndex
    const [, slash, , name, , isEmpty] = match
    if (name === undefined) continue
    if (slash === '/') {
      if (open.pop() !== name) throw new Error(`</${name.slice(0, 50)}> closes nothing`)
      if (text !== null) yield { path, text: unescaped(text) }
      text = null
      path = open.join('/')
      if (open.length === 0) return
      continue
    }
    if (open.length >= depthMax) throw new Error('nested too deep')
    const own = path === '' ? name : `${path}/${name}`
    if (isEmpty === '/') {
      yield { path: own, text: '' }
      text = null
      continue
    }
    open.push(name)
    path = own
    text = ''
  }
  throw new Error('not a whole document')
}

/** Levels of elements: four are used. */
const depthMax = 16

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** @throws Error on an entity that XML itself does not know */
function unescaped(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:#(\d{1,7})|#x([\da-fA-F]{1,6})|(\w{1,10}));|&/g, (_, decimal, hex, name) => {
    const character = entities[name as string]
    if (character !== undefined) return character
    const code = decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal)
    if (Number.isNaN(code) || code > 0x10ffff) throw new Error('an entity that is not known')
    return String.fromCodePoint(code)
  })
}
