/**
 * JSON index: a listing that is read while it comes. However long it is, only its names are kept, and no piece of work
 * is longer than one chunk.
 *
 * It is an array of names or of objects `{name, type?}`, which is also the format of nginx's autoindex. The text is cut
 * at commas of that array, and the parts are left to JSON.parse. Entries that are no file with a possible name are left
 * out. Source: nginx ngx_http_autoindex_module, autoindex_format json.
 */

import { ShardedSet } from '../../async/sharded-set.ts'
import { listingNamesMax } from '../../base/limits.ts'
import { isImageName } from '../contract/image-name.ts'
import { listingEntryBytesMax } from './limits.ts'

const [quote, backslash, comma, opening, closing, openingBrace, closingBrace] = Buffer.from('"\\,[]{}')

export class JsonIndex {
  readonly #namesMax: number
  readonly #names: string[] = []
  readonly #known = new ShardedSet()
  /** The text behind the last cut. */
  #rest = Buffer.alloc(0)
  #depth = 0
  #inString = false
  #isEscaped = false
  #hasEnded = false
  #isFirst = true

  /**
   * @param namesMax names that are kept, the first ones: one more than are shown, so that it is known that there are
   * more
   */
  constructor(namesMax: number = listingNamesMax + 1) {
    this.#namesMax = namesMax
  }

  /**
   * The next bytes, from the bracket that opens the array on.
   * @throws Error when they are no listing
   */
  add(bytes: Uint8Array): void {
    const from = this.#rest.length
    this.#rest = Buffer.concat([this.#rest, bytes])
    const { cut, end } = this.#hasEnded ? { cut: -1, end: -1 } : this.#scan(from)
    if (end >= 0) {
      this.#take(this.#rest.subarray(0, end), true)
      this.#rest = this.#rest.subarray(end + 1)
    } else if (cut >= 0) {
      this.#take(this.#rest.subarray(0, cut), false)
      this.#rest = this.#rest.subarray(cut + 1)
    }
    if (this.#hasEnded && this.#rest.toString('latin1').trim() !== '') throw new Error('more than an array')
    if (this.#rest.length > listingEntryBytesMax) throw new Error(`an entry of more than ${listingEntryBytesMax} bytes`)
  }

  /**
   * The names in the order of the listing, each once.
   * @throws Error when the array has not ended
   */
  end(): string[] {
    if (!this.#hasEnded) throw new Error('not a whole array')
    return this.#names
  }

  /** Go on at `at`: the last comma between entries (-1 where there is none), and the bracket that ends the array. */
  #scan(at: number): { cut: number; end: number } {
    const bytes = this.#rest
    let cut = -1
    for (; at < bytes.length && !this.#hasEnded; at++) {
      const byte = bytes[at]
      if (this.#inString) {
        if (this.#isEscaped) this.#isEscaped = false
        else if (byte === backslash) this.#isEscaped = true
        else if (byte === quote) this.#inString = false
      } else if (byte === quote) this.#inString = true
      else if (byte === opening || byte === openingBrace) this.#depth++
      else if (byte === closing || byte === closingBrace) {
        if (--this.#depth > 0) continue
        if (byte !== closing) throw new Error('an array that ends with a brace')
        this.#hasEnded = true
      } else if (byte === comma && this.#depth === 1) cut = at
    }
    return { cut, end: this.#hasEnded ? at - 1 : -1 }
  }

  /** Entries and the commas between them; the very first come with the bracket before them. */
  #take(text: Buffer, isLast: boolean): void {
    const from = this.#isFirst ? text.indexOf(opening!) + 1 : 0
    const entries = JSON.parse(`[${text.toString('utf8', from)}]`) as unknown[]
    // Behind a comma there is an entry.
    if (entries.length === 0 && !(this.#isFirst && isLast)) throw new Error('a comma without an entry')
    this.#isFirst = false
    for (const entry of entries) this.#keep(entry)
  }

  #keep(entry: unknown): void {
    const name = typeof entry === 'string' ? entry : fileNameOf(entry)
    if (name === null || !isImageName(name) || this.#names.length === this.#namesMax) return
    if (this.#known.add(name)) this.#names.push(name)
  }
}

function fileNameOf(entry: unknown): string | null {
  const { name, type } = (entry ?? {}) as { name?: unknown; type?: unknown }
  if (typeof name !== 'string') throw new Error(`${JSON.stringify(entry).slice(0, 100)} has no name`)
  return type === undefined || type === 'file' ? name : null
}
