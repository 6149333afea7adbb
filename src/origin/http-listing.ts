/**
 * The names that a web server lists: an `index.json` beside the images, or the index the server makes of its directory.
 *
 * Which of them this server has is found by trying and then remembered, so a listing is one request from then on.
 */
import { CacheError } from '../errors.ts'
import { listingPageBytesMax } from '../limits.ts'
import { parseHtmlIndex } from './html-index.ts'
import { type HttpAnswer, receiveChunks } from './http-body.ts'
import type { HttpClient } from './http-client.ts'
import { headerOf } from './http-headers.ts'
import { failureOf } from './http-status.ts'
import { JsonIndex } from './json-index.ts'
import type { Listed } from './origin.ts'
import type { Watch } from './watch.ts'

/** Relative to the directory, in the order in which they are tried: what somebody wrote by hand outranks what a server makes. */
const forms = ['index.json', ''] as const

export class HttpListing {
  readonly #base: URL
  readonly #client: HttpClient
  readonly #bytesMax: number
  /** The form that worked last. */
  #known: (typeof forms)[number] | null = null

  /**
   * @param base the directory, its path ending in a slash
   * @param bytesMax longest listing that is read
   */
  constructor(base: URL, client: HttpClient, bytesMax: number) {
    this.#bytesMax = bytesMax
    this.#base = base
    this.#client = client
  }

  /**
   * The names, or null where this server lists none.
   * @throws CacheError as Origin.list
   */
  async list(signal: AbortSignal): Promise<readonly Listed[] | null> {
    const known = this.#known
    const order = known === null ? forms : [known, ...forms.filter(form => form !== known)]
    for (const form of order) {
      const listed = await this.#try(form, signal)
      if (listed === null) continue
      this.#known = form
      return listed
    }
    this.#known = null
    return null
  }

  async #try(form: string, signal: AbortSignal): Promise<readonly Listed[] | null> {
    const url = new URL(form, this.#base)
    return await this.#client.exchange({ method: 'GET', url, headers: {} }, signal, async (answer, watch) => {
      // 403 is what servers say of a directory that they have but do not list.
      if (answer.status === 404 || answer.status === 410 || answer.status === 403) return null
      if (answer.status !== 200) throw failureOf(answer, 'list')
      return await this.#parse(answer, watch)
    })
  }

  /** null when the body is no listing at all, such as a page for people. */
  async #parse(answer: HttpAnswer, watch: Watch): Promise<readonly Listed[] | null> {
    const page: Uint8Array[] = []
    let pageBytes = 0
    let json: JsonIndex | null = null
    const parsed = <T>(step: () => T): T => {
      try {
        return step()
      } catch (cause) {
        const type = headerOf(answer.headers, 'content-type') ?? 'no type'
        throw new CacheError('origin-protocol', `${answer.place}: not a listing (${type})`, { cause })
      }
    }
    await receiveChunks(answer, this.#bytesMax, watch, chunk => {
      const hasBegun = json !== null || page.length > 0
      const text = hasBegun ? chunk : chunk.subarray(leadingSpaces(chunk))
      if (!hasBegun && text[0] === openingBracket) json = new JsonIndex()
      if (json !== null) parsed(() => json?.add(text))
      else if (text.length > 0) page.push(text)
      pageBytes += text.length
      if (json === null && pageBytes > listingPageBytesMax) {
        throw new CacheError('origin-protocol', `${answer.place}: a page of more than ${listingPageBytesMax} bytes`)
      }
    })
    const whole = json as JsonIndex | null
    if (whole !== null) return parsed(() => whole.end())
    return await parseHtmlIndex(Buffer.concat(page).toString('utf8'), this.#base)
  }
}

/** `[` */
const openingBracket = 0x5b

function leadingSpaces(bytes: Uint8Array): number {
  const at = bytes.findIndex(byte => byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)
  return at < 0 ? bytes.length : at
}
