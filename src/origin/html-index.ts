/**
 * Listings of web servers for people, read: the index pages of nginx, Apache and the like. Links to files directly in the
 * directory count, and nothing else does.
 */
import { listingNamesMax } from '../limits.ts'
import { Turns } from '../turns.ts'
import { isImageName } from './names.ts'
import type { Listed } from './origin.ts'

/**
 * The first `namesMax` names in an HTML index of the directory `base`, or null where the page is not an index: then its links mean nothing.
 */
export async function parseHtmlIndex(
  html: string,
  base: URL,
  namesMax: number = listingNamesMax + 1,
): Promise<Listed[] | null> {
  // None of the patterns can run on from one tag into the next: a hostile page costs no more than its length.
  if (!/<(?:title|h1)\b[^<>]*>\s*(?:Index of|Directory listing)\b/i.test(html)) return null
  const names = new Set<string>()
  const turns = new Turns()
  for (const [, attributes] of html.matchAll(/<a\s([^<>]*)>/gi)) {
    if (turns.areOver) await turns.rest()
    if (names.size === namesMax) break
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
