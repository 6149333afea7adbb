/**
 * HTML index pages: listings for people by nginx, Apache and the like, read while they come. Links to files directly in
 * the directory count, and nothing else does.
 *
 * The text is cut before the last `<`: no tag has one inside, so the text before it is whole.
 */
import { StringDecoder } from 'node:string_decoder'
import { ShardedSet } from '../../async/sharded-set.ts'
import { listingNamesMax } from '../../base/limits.ts'
import { isImageName } from '../contract/image-name.ts'
import { listingEntryBytesMax } from './limits.ts'

export class HtmlIndex {
  readonly #base: URL
  readonly #namesMax: number
  readonly #names: string[] = []
  readonly #known = new ShardedSet()
  readonly #decoder = new StringDecoder('utf8')
  /** From the last `<` on. */
  #rest = ''
  #isIndex = false

  /**
   * @param base the directory
   * @param namesMax names that are kept, the first ones: one more than are shown, so that it is known that there are
   * more
   */
  constructor(base: URL, namesMax: number = listingNamesMax + 1) {
    this.#base = base
    this.#namesMax = namesMax
  }

  /** The next bytes. */
  add(bytes: Uint8Array): void {
    const text = this.#decoder.write(bytes as Buffer)
    const cut = text.lastIndexOf('<')
    if (cut >= 0) this.#take(this.#rest + text.slice(0, cut))
    const rest = cut >= 0 ? text.slice(cut) : this.#rest + text
    // A tag that long is none.
    this.#rest = rest.length > listingEntryBytesMax ? '' : rest
  }

  /** The names in the order of the page, each once, or null where it is not an index: then its links mean nothing. */
  end(): string[] | null {
    this.#take(this.#rest + this.#decoder.end())
    return this.#isIndex ? this.#names : null
  }

  // None of the patterns can run on from one tag into the next: a hostile page costs no more than its length.
  #take(html: string): void {
    this.#isIndex ||= /<(?:title|h1)\b[^<>]*>\s*(?:Index of\b|Directory listing\b|listing:)/i.test(html)
    for (const [, attributes] of html.matchAll(/<a\s([^<>]*)>/gi)) {
      if (this.#names.length === this.#namesMax) return
      const [, double, single] = /(?:^|\s)href\s*=\s*(?:"([^"]*)"|'([^']*)')/i.exec(attributes!) ?? []
      const name = nameOfLink(decodeEntities(double ?? single ?? ''), this.#base)
      if (name !== null && this.#known.add(name)) this.#names.push(name)
    }
  }
}

function nameOfLink(href: string, base: URL): string | null {
  const segment = plainSegment.test(href) ? href : segmentOf(href, base)
  if (segment === null || segment.includes('/')) return null
  try {
    const name = decodeURIComponent(segment)
    return isImageName(name) ? name : null
  } catch {
    return null
  }
}

/** Most links: nothing in them means anything to a URL. Source: RFC 3986, 2.3 Unreserved Characters. */
const plainSegment = /^[\w.~%-]+$/

/** The part that a link adds to the directory's own path; null where it leads elsewhere. */
function segmentOf(href: string, base: URL): string | null {
  if (!URL.canParse(href, base.href)) return null
  const url = new URL(href, base)
  if (url.origin !== base.origin || url.search !== '' || !url.pathname.startsWith(base.pathname)) return null
  return url.pathname.slice(base.pathname.length)
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function decodeEntities(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z]{1,8}));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) return entities[name.toLowerCase()] ?? whole
    const code = hex !== undefined ? Number.parseInt(hex, 16) : Number.parseInt(decimal, 10)
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}
