/**
 * One request to a web server: credentials, redirects, deadlines, and failures as CacheErrors.
 *
 * Redirects are followed here, by hand: at most redirectsMax, never with our credentials to another host, and to this
 * machine only from itself (local-redirects.ts). Ranges go to the last target until it expires
 * (remembered-redirects.ts). No message carries credentials or the query of a redirect's target: it may be signed.
 */

import { lookup } from 'node:dns'
import { createRequire } from 'node:module'
import type { LookupFunction } from 'node:net'
import type { Pool } from 'undici'
import { abortable } from '../../async/abortable.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { RangeReceiver } from '../../native/range-receiver.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import { nativeShareOf } from '../wrappers/limits.ts'
import type { Authorization, Authorizer } from './authorizer.ts'
import { Dialer } from './connections/dialer.ts'
import { RangeConnectionPool } from './connections/range-connection-pool.ts'
import { ProxyRefused, proxyAuthorizationOf } from './connections/tunnel.ts'
import {
  connectMsMax,
  firstByteMsMax,
  listingBytesMax,
  originConcurrencyDefault,
  redirectsMax,
  stallMsMax,
} from './limits.ts'
import { exchangeErrorOf } from './protocol/exchange-error.ts'
import { ExchangeTimeout } from './protocol/exchange-timeout.ts'
import { discard, type HttpAnswer, receiveText } from './protocol/http-body.ts'
import { isRedirect, nextPlace } from './protocol/http-redirect.ts'
import { factsOf, httpPlaceOf, QueriedUrls } from './protocol/http-url.ts'
import { InterimResponses } from './protocol/interim-responses.ts'
import { serverErrorBytesMax } from './protocol/limits.ts'
import { LocalRedirects } from './protocol/local-redirects.ts'
import { type HttpProxy, noProxy, type ProxyChoice } from './protocol/proxy-rules.ts'
import { RememberedRedirects, redirectMsOf } from './protocol/remembered-redirects.ts'
import type { Headers } from './protocol/response-headers.ts'
import type { ServerErrorReader } from './protocol/server-error.ts'

/**
 * The time that an idle connection is kept where the server does not say: shorter than that of nginx (75 s) and most
 * others.
 */
const keepAliveMs = 30_000

/** Hosts whose connections are kept: our own and those that redirects lead to, which a mirror chooser may vary. */
const hostsMax = 8

/** Time-outs and bounds; every field has its default in limits.ts. */
export interface HttpOptions {
  readonly connectMsMax: number
  readonly firstByteMsMax: number
  readonly stallMsMax: number
  /** Connections per host. */
  readonly connectionsMax: number
  readonly listingBytesMax: number
  /** Images without ranges are sequential ones; else their lookups are refused. */
  readonly takesSequential: boolean
  /** Ranges from this length on are received by {@link receiver}. */
  readonly inPlaceBytesMin: number
  /** Lets requests in at our own host; null: the credentials of the URL alone do. */
  readonly authorizer: Authorizer | null
  /** Reads the server's own words in the body of a refusal; null: they are not looked for. */
  readonly readError: ServerErrorReader | null
  /** Certificates of authorities that are trusted besides the usual ones, as PEM; null: none. */
  readonly ca: string | null
  /** Receives long ranges; null: undici does. */
  readonly receiver: RangeReceiver | null
  /** Takes readers for native threads; null: there are none. */
  readonly readers: ReaderTable | null
  /** Connections per host that native threads may have. */
  readonly nativeConnectionsMax: number
  /** The proxy that leads to a host. */
  readonly proxyFor: ProxyChoice
  /** Path of our own host's Unix socket, in place of its address; null: none. */
  readonly unixSocket: string | null
  /** Resolves names. */
  readonly lookup: LookupFunction
}

export const httpOptionsDefault: HttpOptions = {
  connectMsMax,
  firstByteMsMax,
  stallMsMax,
  connectionsMax: originConcurrencyDefault,
  listingBytesMax,
  takesSequential: false,
  inPlaceBytesMin: 64 * 1024,
  authorizer: null,
  readError: null,
  ca: null,
  receiver: null,
  readers: null,
  nativeConnectionsMax: nativeShareOf(originConcurrencyDefault),
  proxyFor: noProxy,
  unixSocket: null,
  lookup,
}

export interface HttpRequest {
  /** POST and PATCH are not redirected. */
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** Of a POST, or a PATCH. */
  readonly body?: string
  /** The reader's memory for the body of a range: it may be received in place. */
  readonly target?: Uint8Array
}

const require = createRequire(import.meta.url)

/**
 * Loaded with the first request, or when a worker has nothing else to do yet: it takes 100 ms in one iteration, and the
 * command line does without it. Not by import(): when 32 reads came in the first moment of a worker that took over,
 * Node.js 20 resolved that with a module whose names were not there, for good.
 */
export function loadUndici(): typeof import('undici') {
  return require('undici') as typeof import('undici')
}

export class HttpClient {
  readonly #options: HttpOptions
  readonly #home: string
  readonly #authorization: string | null
  /** A pool of connections per host: ours, and those we were redirected to. */
  readonly #pools: LruMap<string, Pool>
  readonly #dialer: Dialer
  readonly #ranges: RangeConnectionPool | null
  readonly #redirects: LocalRedirects
  /** Of ranges alone: their version is compared. Names are always asked at the origin's own URL. */
  readonly #remembered = new RememberedRedirects()
  readonly #queried = new QueriedUrls()
  #isPrepared = false
  #closing: Promise<void> | null = null

  /**
   * @param home scheme, host and port that `authorization` is for, as in URL.origin
   * @param authorization the header's value, or null
   * @throws CacheError invalid-argument when its proxy is none
   */
  constructor(home: string, authorization: string | null, options: HttpOptions) {
    this.#home = home
    this.#authorization = authorization
    this.#options = options
    this.#pools = new LruMap(hostsMax, {
      mayLeave: (_, host) => host !== home,
      // It ends when its last request has. Nothing waits for that, and its errors are those requests' own.
      onLeave: pool => void pool.close().catch(() => {}),
    })
    const { connectMsMax, connectionsMax, nativeConnectionsMax, ca, receiver, proxyFor, unixSocket } = options
    this.#redirects = new LocalRedirects(home, options.lookup)
    const lookupFor = (origin: string | null) => this.#redirects.lookupFor(origin)
    this.#dialer = new Dialer({ home, unixSocket, connectMsMax, ca, proxyFor, lookupFor })
    this.#dialer.proxyFor(home) // Throws now, not at the first request.
    const onNativeFailed = (count: number) => options.readers?.onFailed(count)
    const native = { nativeConnectionsMax, exchangeMsMax: options.firstByteMsMax, onNativeFailed }
    const ranges = { connectMsMax, connectionsMax, ...native, ca, hostsMax, keepAliveMs, dialer: this.#dialer }
    this.#ranges = receiver && new RangeConnectionPool(ranges, receiver)
  }

  /**
   * Send `request`, follow redirects, and give the answer to `consume`, which reads the body or leaves it: then it is
   * discarded.
   * @throws CacheError aborted, closed, origin-unreachable, origin-timeout, origin-failed, origin-protocol; and what
   * consume throws
   */
  async exchange<T>(
    request: HttpRequest,
    signal: CancelSignal,
    consume: (answer: HttpAnswer, watch: ExchangeTimeout) => Promise<T>,
  ): Promise<T> {
    const watch = new ExchangeTimeout(httpPlaceOf(request.url), signal)
    try {
      let answer =
        (request.target && this.#remembered.size > 0 && (await this.#askRemembered(request, watch))) ||
        (await this.#sendWithCredentials(request, watch))
      if (isRedirect(answer.status) && request.body === undefined) answer = await this.#follow(answer, request, watch)
      this.armBody(watch)
      try {
        return await consume(answer, watch)
      } finally {
        if (answer.inPlace) answer.inPlace.end()
        else discard(answer.body, this.#options.stallMsMax)
      }
    } catch (error) {
      // Abandoned, it says nothing about the place.
      if (request.target && watch.error?.code !== 'aborted') this.#remembered.forget(request.url)
      throw watch.error ?? (error instanceof CacheError ? error : exchangeErrorOf(request.url, error))
    } finally {
      watch.end()
    }
  }

  /** A range of `url` is likely to be asked for: the first of all has a connection by then. Later ones dial some. */
  prepare(url: URL): void {
    if (this.#isPrepared || this.#closing !== null) return
    this.#isPrepared = true
    this.#ranges?.prepare(url)
  }

  /** More of a body has to come within its time. */
  armBody(watch: ExchangeTimeout): void {
    watch.arm('not enough of the answer', this.#options.stallMsMax)
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      const error = new CacheError('closed', 'the origin has been closed')
      this.#ranges?.close(error)
      await Promise.all([...this.#pools.values()].map(pool => pool.destroy(error)))
    })()
    return this.#closing
  }

  async #follow(redirected: HttpAnswer, request: HttpRequest, watch: ExchangeTimeout): Promise<HttpAnswer> {
    let { url } = request
    let answer = redirected
    let goodMs = Number.POSITIVE_INFINITY
    for (let hops = 1; hops <= redirectsMax; hops++) {
      discard(answer.body, this.#options.stallMsMax)
      url = nextPlace(answer.headers, url)
      goodMs = Math.min(goodMs, redirectMsOf(answer.headers, url, Date.now()))
      await abortable(this.#redirects.mustBeAllowed(url), watch.signal)
      answer = await this.#sendWithCredentials({ ...request, url }, watch)
      if (isRedirect(answer.status)) continue
      if (!request.target || answer.status !== 206) return answer
      this.#remembered.remember(request.url, url, goodMs)
      return this.#redirected(answer, request)
    }
    discard(answer.body, this.#options.stallMsMax)
    throw new CacheError('origin-protocol', `${httpPlaceOf(request.url)}: redirected more than ${redirectsMax} times`)
  }

  /** Ask the target of a remembered redirect. @returns null when it answers with no range: the origin is to be asked */
  async #askRemembered(request: HttpRequest, watch: ExchangeTimeout): Promise<HttpAnswer | null> {
    const url = this.#remembered.placeOf(request.url)
    if (url === null) return null
    try {
      const answer = await this.#sendWithCredentials({ ...request, url }, watch)
      if (answer.status === 206) return this.#redirected(answer, request)
      discard(answer.body, this.#options.stallMsMax)
    } catch (error) {
      if (watch.error !== null) throw error
    }
    this.#remembered.forget(request.url)
    return null
  }

  /** An answer of the place that the request was led to: that is asked directly as long as the redirect is known. */
  #redirected(answer: HttpAnswer, { url }: HttpRequest): HttpAnswer {
    return { ...answer, repeatMs: Math.min(answer.repeatMs, this.#remembered.leftMs(url)) }
  }

  /** Once more with another head where the server refuses this one and there is another by now. */
  #sendWithCredentials(request: HttpRequest, watch: ExchangeTimeout): Promise<HttpAnswer> {
    const { authorizer } = this.#options
    watch.arm('no answer', this.#options.firstByteMsMax)
    if (authorizer === null || factsOf(request.url).origin !== this.#home) return this.#send(request, null, watch)
    return this.#sendWith(authorizer, request, watch)
  }

  async #sendWith(authorizer: Authorizer, request: HttpRequest, watch: ExchangeTimeout): Promise<HttpAnswer> {
    // Whatever gives the head may hang, and has a time of its own: a reader that leaves does not wait for it.
    const { signal } = watch
    const sent = await abortable(authorizer.authorize(request), signal)
    const answer = await this.#send(request, sent, watch)
    if (!authorizer.refusals.has(answer.status)) return answer
    const leave = () => discard(answer.body, this.#options.stallMsMax)
    const hearing = abortable(authorizer.refused(request, sent, answer), signal)
    hearing.catch(leave) // The reader sees it.
    if (!(await hearing)) return answer
    leave()
    this.#ranges?.returnTo(factsOf(request.url).origin)
    watch.arm('no answer', this.#options.firstByteMsMax)
    return await this.#send(request, await abortable(authorizer.authorize(request), signal), watch)
  }

  #send(request: HttpRequest, head: Authorization | null, watch: ExchangeTimeout): Promise<HttpAnswer> {
    const proxy = this.#dialer.proxyFor(factsOf(request.url).origin)
    return proxy === null ? this.#sendOnce(request, head, {}, watch) : this.#sendBy(proxy, request, head, watch)
  }

  /** Once more where the proxy refuses our credentials and there are others by now. */
  async #sendBy(proxy: HttpProxy, request: HttpRequest, head: Authorization | null, watch: ExchangeTimeout) {
    const send = async () => {
      // A tunnel has been told already, and a 407 in it is the server's.
      if (request.url.protocol === 'https:') return await this.#sendOnce(request, head, {}, watch)
      const sent = proxy.credentials ? await abortable(proxy.credentials.headers(), watch.signal) : {}
      const answer = await this.#sendOnce(request, head, proxyAuthorizationOf(sent), watch)
      if (answer.status !== 407) return answer
      discard(answer.body, this.#options.stallMsMax)
      throw new ProxyRefused(proxy, sent)
    }
    try {
      return await send()
    } catch (error) {
      const { credentials } = proxy
      if (!(error instanceof ProxyRefused) || credentials === null) throw error
      if (!(await abortable(credentials.renew(error.sent), watch.signal))) throw error
      this.#ranges?.returnTo(factsOf(request.url).origin)
      return await send()
    }
  }

  async #sendOnce(
    { method, url: asked, headers: own, target, body: sent }: HttpRequest,
    head: Authorization | null,
    forProxy: Readonly<Record<string, string>>,
    watch: ExchangeTimeout,
  ): Promise<HttpAnswer> {
    if (watch.error !== null) throw watch.error
    const { readError, authorizer } = this.#options
    const url = head === null || head.query === '' ? asked : this.#queried.with(asked, head.query)
    const { origin, place, isDirectory } = factsOf(url)
    const repeatMs = Math.min(
      head?.freshMs ?? Number.POSITIVE_INFINITY,
      this.#dialer.proxyFor(origin)?.credentials?.freshMs ?? Number.POSITIVE_INFINITY,
    )
    const headers: Record<string, string> = { 'user-agent': 'parentfs', 'accept-encoding': 'identity' }
    for (const name in head?.headers) headers[name] = head!.headers[name]!
    for (const name in own) headers[name] = own[name]!
    if (this.#authorization !== null && origin === this.#home) headers.authorization = this.#authorization
    for (const name in forProxy) headers[name] = forProxy[name]!
    if (this.#ranges && target && target.length >= this.#options.inPlaceBytesMin) {
      const answer = await this.#ranges.ask({ url, headers, target }, watch)
      // The server's own words may say what would let it in: undici reads them.
      const isForWords = readError !== null && head !== null && authorizer?.refusals.has(answer?.status ?? 0)
      if (answer && !isForWords) {
        const { status, headers, body, inPlace } = answer
        return { status, headers, body, inPlace, repeatMs, error: null, place, isDirectory }
      }
    }
    const pool = await this.#poolFor(origin)
    const isAbsolute = url.protocol === 'http:' && this.#dialer.proxyFor(origin) !== null
    const path = (isAbsolute ? origin : '') + url.pathname + url.search
    const informations = new InterimResponses()
    const {
      statusCode,
      headers: answered,
      body,
    } = await pool.request({
      path,
      method,
      headers,
      body: sent ?? null,
      // It needs no more of a signal than ours have. Source: undici 7.30, lib/core/util.js, addAbortListener.
      signal: watch.signal as AbortSignal,
      onInfo: ({ headers }) => informations.add(bytesOf(headers)),
    })
    const isRefusal = readError !== null && statusCode >= 300 && method !== 'HEAD'
    const error = isRefusal ? readError((await receiveText({ body }, serverErrorBytesMax, watch)) ?? '') : null
    return { status: statusCode, headers: answered, body, inPlace: null, repeatMs: 0, error, place, isDirectory }
  }

  /**
   * Not undici's Agent: in 7.30, it counts the end of one connection against the pool that came after it, and drops
   * that.
   */
  async #poolFor(host: string): Promise<Pool> {
    const { Pool } = loadUndici()
    if (this.#closing !== null) throw new CacheError('closed', `${this.#home}: the origin has been closed`)
    const pool = this.#pools.get(host) ?? new Pool(host, this.#poolOptions(host))
    this.#pools.set(host, pool)
    return pool
  }

  /** Deadlines of an answer are ExchangeTimeout's; that of a connection covers names, TCP, proxy and TLS. */
  #poolOptions(host: string): Pool.Options {
    return {
      connections: this.#options.connectionsMax,
      connect: this.#dialer.connectorFor(host, loadUndici()),
      keepAliveTimeout: keepAliveMs,
      headersTimeout: 0,
      bodyTimeout: 0,
    }
  }
}

/** About so many bytes were these headers. */
function bytesOf(headers: Headers): number {
  return Object.entries(headers).reduce((bytes, [name, value]) => bytes + name.length + String(value).length, 0)
}
