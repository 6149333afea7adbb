/**
 * The names that a web server lists: an `index.json` beside the images, or the index the server makes of its directory.
 *
 * The form that a server has is found by trying and then remembered: a listing is one request from then on.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import { HtmlIndex } from './html-index.ts'
import type { HttpClient } from './http-client.ts'
import { JsonIndex } from './json-index.ts'
import type { ExchangeTimeout } from './protocol/exchange-timeout.ts'
import { type HttpAnswer, receiveChunks } from './protocol/http-body.ts'
import { failureOf } from './protocol/http-status.ts'
import { headerOf } from './protocol/response-headers.ts'

/** Relative to the directory, in the order in which they are tried: a hand-written index outranks a generated one. */
const forms = ['index.json', ''] as const

/** Caddy's index for people has no title that says so, and it gives programs another one. Source: Caddy 2.6. */
const headers = { accept: 'text/html, application/json;q=0.9, */*;q=0.8' }

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
  async list(signal: CancelSignal): Promise<readonly string[] | null> {
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

  async #try(form: string, signal: CancelSignal): Promise<readonly string[] | null> {
    const url = new URL(form, this.#base)
    return await this.#client.exchange({ method: 'GET', url, headers }, signal, async (answer, watch) => {
      // 403 is what servers say of a directory that they have but do not list.
      if (answer.status === 404 || answer.status === 410 || answer.status === 403) return null
      if (answer.status !== 200) throw failureOf(answer, 'list')
      return await this.#parse(answer, watch)
    })
  }

  /** null when the body is no listing at all, such as a page for people. */
  async #parse(answer: HttpAnswer, watch: ExchangeTimeout): Promise<readonly string[] | null> {
    let index: JsonIndex | HtmlIndex | null = null
    const parsed = <T>(step: () => T): T => {
      try {
        return step()
      } catch (cause) {
        const type = headerOf(answer.headers, 'content-type') ?? 'no type'
        throw new CacheError('origin-protocol', `${answer.place}: not a listing (${type})`, { cause })
      }
    }
    await receiveChunks(answer, this.#bytesMax, watch, chunk => {
      const text = index === null ? chunk.subarray(leadingSpaces(chunk)) : chunk
      if (text.length === 0) return
      const known = (index ??= text[0] === openingBracket ? new JsonIndex() : new HtmlIndex(this.#base))
      parsed(() => known.add(text))
    })
    const whole = index as JsonIndex | HtmlIndex | null
    return whole && parsed(() => whole.end())
  }
}

/** `[` */
const openingBracket = 0x5b

function leadingSpaces(bytes: Uint8Array): number {
  const at = bytes.findIndex(byte => byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)
  return at < 0 ? bytes.length : at
}
