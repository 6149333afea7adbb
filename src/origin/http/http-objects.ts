/**
 * Objects of a web server, each at a URL of its own: asked about, and read by ranges of one version or as a whole.
 *
 * The server must name its versions (a strong ETag, or at least a date). Objects of which it sends no single ranges are
 * sequential images, or refused. Both are checked at lookup. Every read asks for one range of one version, or for the
 * whole, and every answer is compared with the request: another version, another range, another length or an encoded
 * body is never served.
 */

import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import { NoRangesError } from '../contract/no-ranges-error.ts'
import type { FoundImage, TakeBytes } from '../contract/origin.ts'
import { type Look, YoungVersions } from '../contract/recently-modified.ts'
import type { HttpClient } from './http-client.ts'
import { httpTickMs, sequentialNamesMax } from './limits.ts'
import { NativeReaders } from './native-readers.ts'
import { type HttpAnswer, receiveInto, receiveSteadily } from './protocol/http-body.ts'
import { failureOf } from './protocol/http-status.ts'
import { httpPlaceOf } from './protocol/http-url.ts'
import {
  ageMsOf,
  compareValidator,
  conditionOf,
  contentLengthOf,
  contentRangeOf,
  type Headers,
  headerOf,
  isEncoded,
  isRange,
  modifiedMsOf,
  validatorOf,
} from './protocol/response-headers.ts'

/** Rules by which servers of a kind differ. */
export interface ObjectRules {
  /** Lookups ask for the first byte in place of a HEAD, whose refusals have no body that explains them. */
  readonly asksFirstByte: boolean
  /** A strong ETag is that of one content alone, however soon the next one came. */
  readonly hasContentETags: boolean
  /** Objects without ranges are sequential images; else their lookups are refused. */
  readonly takesSequential: boolean
  /** Each URL has one version for ever: no answer has to tell it. */
  readonly isNamedByContent: boolean
  /** The facts as readers are to know them, where the answer has more to tell than they say. */
  readonly pin: (facts: ImageFacts, headers: Headers) => ImageFacts
}

const rulesDefault: ObjectRules = {
  asksFirstByte: false,
  hasContentETags: false,
  takesSequential: false,
  isNamedByContent: false,
  pin: facts => facts,
}

/** One version of an object. */
export type ObjectVersion = Pick<ImageFacts, 'sizeBytes' | 'validator'>

export class HttpObjects {
  readonly #identity: string
  readonly #client: HttpClient
  readonly #readers: NativeReaders | null
  readonly #young = new YoungVersions()
  /** Validators, by name, of images that are known to have no ranges. */
  readonly #sequential = new LruMap<string, string>(sequentialNamesMax)
  readonly #rules: ObjectRules
  /** False once this server has said that it knows no HEAD. */
  #knowsHead: boolean

  /**
   * @param identity the origin's URL, for facts and messages
   * @param readers takes readers for native threads; null: there are none
   */
  constructor(identity: string, client: HttpClient, readers: ReaderTable | null, rules: Partial<ObjectRules> = {}) {
    this.#identity = identity
    this.#client = client
    this.#rules = { ...rulesDefault, ...rules }
    this.#readers = readers && new NativeReaders(readers, this.#rules.isNamedByContent ? ownValidatorOf : undefined)
    this.#knowsHead = !this.#rules.asksFirstByte
  }

  /**
   * The facts of the image `key`, which is the object at `url`.
   * @throws CacheError as Origin.lookup
   */
  async lookup(key: string, url: URL, signal: CancelSignal): Promise<FoundImage> {
    const { facts, headers, ranges } = await this.#young.settle(isAgain => this.#ask(key, url, isAgain, signal), signal)
    const found = this.#rules.pin(facts, headers)
    if (facts.sizeBytes > 0 && ranges !== 'no') this.#client.prepare(url)
    if (facts.sizeBytes === 0 || ranges === 'yes') return found
    const sequential = { ...found, isSequential: true } as const
    if (this.#sequential.get(key) === facts.validator) return sequential
    const why =
      ranges === 'no' ? 'it sends no ranges (Accept-Ranges: none)' : await this.whyNoRanges(facts, url, signal)
    if (why === null) return found
    if (!this.#rules.takesSequential) throw unsupported(httpPlaceOf(url), why)
    this.#sequential.set(key, facts.validator)
    return sequential
  }

  /**
   * Fill `target` with the bytes of the image at `offset`; native threads may read it from then on.
   * @throws CacheError as Origin.read
   */
  read(image: Image, url: URL, offset: number, target: Uint8Array, signal: CancelSignal): Promise<void> {
    return this.readRange(image, url, offset, target, signal, image)
  }

  /**
   * Fill `target` with the bytes of one version of an object at `offset`.
   * @param image the image that it is, where native threads may read it from then on; null: a part of one
   * @throws CacheError as Origin.read
   */
  readRange(
    version: ObjectVersion,
    url: URL,
    offset: number,
    target: Uint8Array,
    signal: CancelSignal,
    image: Image | null = null,
  ): Promise<void> {
    const readers = image && this.#readers
    const last = offset + target.length - 1
    const asked = this.#asked(version)
    const headers = asked.validator === null ? {} : conditionOf(asked.validator)
    headers.range = `bytes=${offset}-${last}`
    return this.#client.exchange({ method: 'GET', url, headers, target }, signal, (answer, watch) => {
      const refusal = refusalOf(answer, asked, offset, last)
      if (refusal) {
        if (image) readers?.refused(image)
        throw refusal
      }
      const received = receiveInto(answer, target, watch)
      return image && readers ? received.then(() => readers.answered(image, answer)) : received
    })
  }

  /**
   * Give all bytes of the image to `take`.
   * @throws CacheError as Origin.readWhole
   */
  readWhole(image: ObjectVersion, url: URL, take: TakeBytes, signal: CancelSignal): Promise<void> {
    const asked = this.#asked(image)
    const request = {
      method: 'GET',
      url,
      headers: asked.validator === null ? {} : conditionOf(asked.validator),
    } as const
    return this.#client.exchange(request, signal, async (answer, watch) => {
      const refusal = refusalOfWhole(answer, asked)
      if (refusal) throw refusal
      let bytes = 0
      const takeCounted: TakeBytes = chunk => {
        bytes += chunk.length
        if (bytes > image.sizeBytes) throw refusedFor(answer)(`sent more than the ${image.sizeBytes} bytes there are`)
        return take(chunk)
      }
      await receiveSteadily(answer, watch, () => this.#client.armBody(watch), takeCounted)
      if (bytes < image.sizeBytes) throw refusedFor(answer)(`sent ${bytes} of ${image.sizeBytes} bytes`)
    })
  }

  #asked({ sizeBytes, validator }: ObjectVersion): AskedVersion {
    return { sizeBytes, validator: this.#rules.isNamedByContent ? null : validator }
  }

  /** The origin is closed. */
  close(): void {
    this.#readers?.close()
  }

  /** HEAD, or the first byte where the answer to that says too little. */
  async #ask(key: string, url: URL, isAgain: boolean, signal: CancelSignal): Promise<Asked> {
    // Source: RFC 9111 5.2.1.4.
    const always: Readonly<Record<string, string>> = isAgain ? { 'cache-control': 'no-cache' } : {}
    if (!this.#knowsHead) return await this.#askFirstByte(key, url, always, signal)
    const asked = await this.#client.exchange({ method: 'HEAD', url, headers: always }, signal, async answer =>
      saysTooLittle(answer) ? answer.status : this.#factsOfWhole(key, answer),
    )
    if (typeof asked !== 'number') return asked
    const found = await this.#askFirstByte(key, url, always, signal)
    // A server that refuses every HEAD is asked none any more.
    if (asked !== 200) this.#knowsHead = false
    return found
  }

  async #askFirstByte(
    key: string,
    url: URL,
    always: Readonly<Record<string, string>>,
    signal: CancelSignal,
  ): Promise<Asked> {
    const headers = { ...always, range: 'bytes=0-0' }
    const asked = await this.#client.exchange({ method: 'GET', url, headers }, signal, async answer => {
      if (answer.status === 416) return null
      return answer.status === 206 ? this.#factsOfPart(key, answer) : this.#factsOfWhole(key, answer)
    })
    if (asked !== null) return asked
    // An empty image has no first byte, and a 416 names no version: ask for the whole of nothing.
    return await this.#client.exchange({ method: 'GET', url, headers: always }, signal, async answer =>
      this.#factsOfWhole(key, answer),
    )
  }

  #factsOfWhole(key: string, answer: HttpAnswer): Asked {
    // Redirected to a directory: whether the server would list it or refuses to, the name is no image.
    if (answer.isDirectory && (answer.status === 200 || answer.status === 403)) throw missing(this.#identity, key)
    if (answer.status !== 200) throw failureOf(answer, 'lookup')
    const acceptRanges = headerOf(answer.headers, 'accept-ranges')?.toLowerCase() ?? null
    const ranges = acceptRanges === 'none' ? 'no' : acceptRanges === 'bytes' ? 'yes' : 'unknown'
    return { ...this.#seen(key, answer, contentLengthOf(answer.headers)), ranges }
  }

  #factsOfPart(key: string, answer: HttpAnswer): Asked {
    const range = contentRangeOf(answer.headers)
    if (range === null || range.first !== 0 || range.last !== 0) {
      throw unsupported(answer.place, 'it answered a request for one byte with another range')
    }
    return { ...this.#seen(key, answer, range.sizeBytes), ranges: 'yes' }
  }

  /** No ETag makes a version older by its looks: many servers put theirs together of the date and the length. */
  #seen(key: string, answer: HttpAnswer, sizeBytes: number | null): Omit<Asked, 'ranges'> {
    const { headers } = answer
    const facts = this.#factsOf(key, answer, sizeBytes)
    const isOfContent = this.#rules.hasContentETags && facts.validator.startsWith('"')
    return { facts, headers, ageMs: isOfContent ? null : ageMsOf(headers, Date.now()), tickMs: httpTickMs }
  }

  #factsOf(key: string, answer: HttpAnswer, sizeBytes: number | null): ImageFacts {
    if (isEncoded(answer.headers)) throw unsupported(answer.place, 'it encodes the body although it was asked not to')
    if (sizeBytes === null) throw unsupported(answer.place, 'it does not say how long the image is (Content-Length)')
    const validator = validatorOf(answer.headers)
    if (validator === null) {
      throw unsupported(answer.place, 'it names no version of the image: it needs a strong ETag or Last-Modified')
    }
    return { origin: this.#identity, key, sizeBytes, validator, modifiedMs: modifiedMsOf(answer.headers) }
  }

  /** The server does not say whether it sends ranges: ask for one. @returns why it does not; null: it does */
  async whyNoRanges(facts: ObjectVersion, url: URL, signal: CancelSignal): Promise<string | null> {
    this.#client.prepare(url)
    try {
      await this.readRange(facts, url, facts.sizeBytes - 1, new Uint8Array(1), signal)
      return null
    } catch (cause) {
      if (cause instanceof NoRangesError) return 'it sends no ranges'
      if (!isCacheError(cause, 'origin-protocol')) throw cause
      throw new CacheError('origin-unsupported', `${cause.message}; an origin must send ranges`, { cause })
    }
  }
}

/** A version as answers are compared with it; without a validator, its URL is enough. */
type AskedVersion = Pick<ObjectVersion, 'sizeBytes'> & { readonly validator: string | null }

/** The server has a validator of its own, which is none of ours, and stays. */
function ownValidatorOf(_image: Image, answer: HttpAnswer): string | null {
  return validatorOf(answer.headers)
}

interface Asked extends Look {
  readonly headers: Headers
  /** Ranges of it, as the answer showed or promised. */
  readonly ranges: 'yes' | 'no' | 'unknown'
}

/**
 * Does this answer to a HEAD leave open what an answer to a GET would say? Some servers refuse HEAD alone: signed URLs
 * are for one method. Apache leaves the length of an empty file out. Source: Apache httpd 2.4.71.
 */
function saysTooLittle({ status, headers, isDirectory }: HttpAnswer): boolean {
  if (status === 200) return contentLengthOf(headers) === null && !isEncoded(headers)
  return status === 400 || status === 405 || status === 501 || (status === 403 && !isDirectory)
}

/** image-changed, origin-protocol or what a status stands for; null: it is that range of that version. */
function refusalOf(answer: HttpAnswer, version: AskedVersion, first: number, last: number): CacheError | null {
  const refuse = refusedFor(answer)
  // A range of all bytes may be answered with the whole. Source: RFC 9110 14.2 (a server may ignore Range).
  const isAll = first === 0 && last === version.sizeBytes - 1
  if (answer.status === 200 && isAll) return refusalOfWhole(answer, version)
  if (answer.status === 200) return new NoRangesError(refuse(`sent the whole image for bytes ${first}-${last}`).message)
  const refusal = answer.status === 206 ? refusalOfVersion(answer, version) : failureOf(answer, 'read')
  if (refusal) return refusal
  if (!isRange(answer.headers, first, last, version.sizeBytes)) {
    const sent = headerOf(answer.headers, 'content-range') ?? 'no single range'
    return refuse(`sent ${sent} when asked for bytes ${first}-${last}/${version.sizeBytes}`)
  }
  const length = contentLengthOf(answer.headers)
  return length === null || length === last - first + 1
    ? null
    : refuse(`sent ${length} bytes for bytes ${first}-${last}`)
}

/** Likewise for the whole. */
function refusalOfWhole(answer: HttpAnswer, version: AskedVersion): CacheError | null {
  const refusal = answer.status === 200 ? refusalOfVersion(answer, version) : failureOf(answer, 'read')
  if (refusal) return refusal
  const length = contentLengthOf(answer.headers)
  if (length === null || length === version.sizeBytes) return null
  return refusedFor(answer)(`sends ${length} bytes of an image of ${version.sizeBytes}`)
}

function refusalOfVersion(answer: HttpAnswer, { validator }: AskedVersion): CacheError | null {
  const compared = validator === null ? 'same' : compareValidator(answer.headers, validator)
  if (compared === 'other') return new CacheError('image-changed', `${answer.place}: is no longer version ${validator}`)
  if (compared === 'missing') return refusedFor(answer)('did not say which version of the image it sent')
  return isEncoded(answer.headers) ? refusedFor(answer)('encoded the body although it was asked not to') : null
}

function refusedFor({ place }: HttpAnswer): (why: string) => CacheError {
  return why => new CacheError('origin-protocol', `${place}: ${why}; nothing of it is served`)
}

function unsupported(place: string, why: string): CacheError {
  return new CacheError('origin-unsupported', `${place}: cannot be served: ${why}`)
}

/** The answer to a name that the origin has not. */
export function missing(identity: string, key: string): CacheError {
  return new CacheError('not-found', `${identity}: has no image ${JSON.stringify(key)}`)
}
