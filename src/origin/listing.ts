/**
 * Listings of web servers, read. Pure.
 *
 * JSON: an array of names or of objects `{name, size?, type?}`, which is also what nginx's autoindex makes. Source: nginx
 * ngx_http_autoindex_module, autoindex_format json. HTML: the index pages of nginx, Apache and the like; links to files
 * directly in the directory count, and nothing else does.
 */
import { isImageName } from './names.ts'
import type { Listed } from './origin.ts'

/**
 * Names and sizes of a JSON listing. What is not a file with a possible name is left out.
 * @throws Error when it is not an array of names or objects with names
 */
export function parseJsonIndex(text: string): Listed[] {
  const entries: unknown = JSON.parse(text)
  if (!Array.isArray(entries)) throw new Error('not an array')
  const listed = new Map<string, Listed>()
  for (const entry of entries) {
    const one = typeof entry === 'string' ? { name: entry, sizeBytes: null } : ofObject(entry)
    if (one !== null && isImageName(one.name)) listed.set(one.name, one)
  }
  return [...listed.values()]
}

function ofObject(entry: unknown): Listed | null {
  const { name, size, type } = (entry ?? {}) as { name?: unknown; size?: unknown; type?: unknown }
  if (typeof name !== 'string') throw new Error(`${JSON.stringify(entry)} has no name`)
  if (type !== undefined && type !== 'file') return null
  const isSize = typeof size === 'number' && Number.isSafeInteger(size) && size >= 0
  return { name, sizeBytes: isSize ? size : null }
}

/**
 * Names in an HTML index of the directory `base`, or null where the page is not an index: then its links mean nothing.
 */
export function parseHtmlIndex(html: string, base: URL): Listed[] | null {
  // None of the patterns can run on from one tag into the next: a hostile page costs no more than its length.
  if (!/<(?:title|h1)\b[^<>]*>\s*(?:Index of|Directory listing)\b/i.test(html)) return null
  const names = new Set<string>()
  for (const [, attributes] of html.matchAll(/<a\s([^<>]*)>/gi)) {
    const [, double, single] = /(?:^|\s)href\s*=\s*(?:"([^"]*)"|'([^']*)')/i.exec(attributes!) ?? []
    const name = nameOfLink(decodeEntities(double ?? single ?? ''), base)
    if (name !== null) names.add(name)
  }
  return [...names].map(name => ({ name, sizeBytes: null }))
}

function nameOfLink(href: string, base: URL): string | null {
  if (!URL.canParse(href, base.href)) return null
  const url = new URL(href, base)
  if (url.origin !== base.origin || url.search !== '' || !url.pathname.startsWith(base.pathname)) return null
  const segment = url.pathname.slice(base.pathname.length)
  try {
    const name = decodeURIComponent(segment)
    return isImageName(name) && !segment.includes('/') ? name : null
  } catch {
    return null
  }
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function decodeEntities(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z]{1,8}));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) return entities[name.toLowerCase()] ?? whole
    const code = hex !== undefined ? Number.parseInt(hex, 16) : Number.parseInt(decimal, 10)
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}
