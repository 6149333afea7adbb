/**
 * Connections on which bodies of ranges are received in place, kept by host: see native-range-connection.ts.
 *
 * They are for the one thing that a server is asked for again and again. A host that answers anything but plain ranges,
 * or that TLS could not be agreed on with, is left to undici for a while: it decodes what is chunked, keeps connections
 * whatever the answer was, and speaks Node's TLS.
 */

import { Readable } from 'node:stream'
import { DEFAULT_CIPHERS } from 'node:tls'
import { abortable } from '../../../async/abortable.ts'
import { SlicedQueue } from '../../../async/loop-slicer.ts'
import { LruMap } from '../../../base/lru-map.ts'
import type { RangeReceiver } from '../../../native/range-receiver.ts'
import type { TimedPhase } from '../protocol/exchange-timeout.ts'
import type { HttpAnswer, InPlaceBody, RepeatableRequest } from '../protocol/http-body.ts'
import { factsOf, type UrlFacts } from '../protocol/http-url.ts'
import type { Dialer } from './dialer.ts'
import { NativeConnections } from './native-connections.ts'
import { HandshakeRefused, NativeRangeConnection, type RangeConnectOptions } from './native-range-connection.ts'
import { tlsTrust } from './tls-trust.ts'

export interface RangeConnectionPoolOptions extends Omit<RangeConnectOptions, 'trust' | 'dialer'> {
  readonly dialer: Pick<Dialer, 'dial' | 'proxyFor'>
  /** Trusted besides the usual ones, as PEM. */
  readonly ca: string | null
  /** Per host. */
  readonly connectionsMax: number
  /** Hosts whose connections are kept. */
  readonly hostsMax: number
  /** The time that an idle one is kept. */
  readonly keepAliveMs: number
  /** Per host, for native threads. */
  readonly nativeConnectionsMax: number
  /** The time that one of their exchanges may take. */
  readonly exchangeMsMax: number
  /** Hears how many of these failed. */
  readonly onNativeFailed: (count: number) => void
}

/** A range that is to be received in place. */
export interface RangeRequest {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** As long as the range. */
  readonly target: Uint8Array
}

/** An answer whose final URL the caller knows. */
export type RangeAnswer = Omit<HttpAnswer, 'place' | 'isDirectory' | 'repeatMs' | 'error'>

interface Host {
  readonly idle: { readonly connection: NativeRangeConnection; readonly timer: NodeJS.Timeout; drop(): void }[]
  busy: number
  /** Waiters for one that is not busy. */
  readonly waiting: (() => void)[]
  /** Until then it is left to undici. */
  notBeforeMs: number
  /** Its connections for native threads, once there is a range that they could repeat. */
  native: NativeConnections | null
}

/** The time of that. */
const leaveMs = 60_000

/** In place of a body that is received elsewhere; it is never read. */
const noBody = Readable.from([])

/** Characters of a request line and its headers. */
const plain = /^[\t\x20-\x7e\x80-\xff]*$/

export class RangeConnectionPool {
  readonly #options: RangeConnectionPoolOptions
  readonly #receiver: RangeReceiver
  /** The trust of the receiver, once that is known. */
  #trust: number | null | undefined
  readonly #hosts: LruMap<string, Host>
  #latest: { readonly origin: string; readonly host: Host } | null = null
  readonly #open = new Set<NativeRangeConnection>()
  readonly #slicer = new SlicedQueue()
  #closed = false

  constructor(options: RangeConnectionPoolOptions, receiver: RangeReceiver) {
    this.#options = options
    this.#hosts = new LruMap(options.hostsMax, {
      mayLeave: ({ busy, waiting }) => busy === 0 && waiting.length === 0,
      onLeave: ({ idle, native }) => {
        for (const kept of [...idle]) kept.drop()
        native?.close()
      },
    })
    this.#receiver = receiver
  }

  /**
   * Ask for a range.
   * @returns an answer whose body is received in place, or that has none to read; null: ask undici
   * @throws CacheError, and errors of the connection
   */
  async ask({ url, headers, target }: RangeRequest, watch: TimedPhase): Promise<RangeAnswer | null> {
    const { connectionsMax, dialer } = this.#options
    const facts = factsOf(url)
    const host = this.#hostOf(facts.origin)
    const proxy = dialer.proxyFor(facts.origin)
    const isAbsolute = proxy !== null && url.protocol === 'http:'
    const text = requestOf(facts, isAbsolute, headers)
    const trust = url.protocol === 'https:' ? this.#trustOf() : null
    // In TLS with a proxy no descriptor has the bytes.
    if (text === null || proxy?.url.protocol === 'https:' || (url.protocol === 'https:' && trust === null)) return null
    if (this.#isLeft(host)) return null
    while (host.busy >= connectionsMax) await turn(host, watch)
    if (this.#isLeft(host)) return null
    host.busy++
    const request = `${text}range: ${headers.range}\r\n\r\n`
    for (;;) {
      const connection = this.#take(host, url, trust)
      const { isReady: wasIdle } = connection
      try {
        // A reader that leaves waits for no connection.
        if (!connection.isReady) await abortable(connection.ready, watch.signal)
        if (watch.error !== null) throw watch.error
        const head = await connection.ask(request, target, watch)
        const { status, headers: answered, bodyBytes } = head
        if (connection.isReceiving) {
          const repeatable = { text, host: this.#nativeHostOf(host, url, trust) }
          const inPlace = new Reception(repeatable, host, connection, this.#end)
          return { status, headers: answered, body: noBody, inPlace }
        }
        host.notBeforeMs = performance.now() + leaveMs
        this.#end(host, connection)
        // A body whose length is told otherwise, or the whole for a range of all of it: it may be as right as any.
        return (status === 206 || status === 200) && (bodyBytes === null || bodyBytes === target.length)
          ? null
          : { status, headers: answered, body: Readable.from([]), inPlace: null }
      } catch (error) {
        const { hasAnswered } = connection
        this.#open.delete(connection)
        connection.destroy(null)
        // Its server had closed it while it was idle: that is no failure.
        if (wasIdle && !hasAnswered && watch.error === null && !this.#closed) continue
        leave(host)
        if (!(error instanceof HandshakeRefused)) throw error
        host.notBeforeMs = performance.now() + leaveMs
        return null
      }
    }
  }

  /** Dial a connection for the first range, which need not wait for it then. It says what is wrong with one. */
  prepare(url: URL): void {
    const { origin } = factsOf(url)
    const host = this.#hostOf(origin)
    const trust = url.protocol === 'https:' ? this.#trustOf() : null
    const isForeign = url.protocol === 'https:' && trust === null
    if (this.#isLeft(host) || isForeign || this.#options.dialer.proxyFor(origin)?.url.protocol === 'https:') return
    if (host.busy > 0 || host.idle.length > 0) return
    try {
      const connection = this.#dial(url, trust)
      connection.ready.catch(() => this.#open.delete(connection))
      this.#open.add(connection)
      this.#keep(host, connection)
    } catch {}
  }

  /** A host that refused a head is sent another one: its answers are received in place again. */
  returnTo(origin: string): void {
    this.#hostOf(origin).notBeforeMs = 0
  }

  /** Idempotent; what is being received breaks off. */
  close(error: unknown): void {
    this.#closed = true
    for (const { idle, native } of this.#hosts.values()) {
      for (const { timer } of idle) clearTimeout(timer)
      native?.close()
    }
    for (const connection of this.#open) connection.destroy(error)
    this.#open.clear()
  }

  /** Is it left to undici now? */
  #isLeft({ notBeforeMs }: Host): boolean {
    return this.#closed || (notBeforeMs > 0 && performance.now() < notBeforeMs)
  }

  /** An exchange is over. */
  readonly #end = (host: Host, connection: NativeRangeConnection): void => {
    if (connection.end() && !this.#closed) this.#keep(host, connection)
    else this.#open.delete(connection)
    leave(host)
  }

  #hostOf(origin: string): Host {
    if (this.#latest?.origin === origin) return this.#latest.host
    const host = this.#hosts.get(origin) ?? { idle: [], busy: 0, waiting: [], notBeforeMs: 0, native: null }
    this.#hosts.set(origin, host)
    this.#latest = { origin, host }
    return host
  }

  #take(host: Host, url: URL, trust: number | null): NativeRangeConnection {
    for (let kept = host.idle.pop(); kept; kept = host.idle.pop()) {
      clearTimeout(kept.timer)
      if (kept.connection.isOpen) return kept.connection
      this.#open.delete(kept.connection)
    }
    try {
      const connection = this.#dial(url, trust)
      this.#open.add(connection)
      return connection
    } catch (error) {
      leave(host)
      throw error
    }
  }

  #dial(url: URL, trust: number | null): NativeRangeConnection {
    const { connectMsMax, dialer } = this.#options
    return new NativeRangeConnection(url, { connectMsMax, dialer, trust }, this.#receiver, this.#slicer)
  }

  #nativeHostOf(host: Host, url: URL, trust: number | null): NativeConnections {
    const { keepAliveMs, nativeConnectionsMax, exchangeMsMax, onNativeFailed } = this.#options
    const limits = { connectionsMax: nativeConnectionsMax, idleMsMax: keepAliveMs, exchangeMsMax }
    host.native ??= new NativeConnections(
      this.#receiver.createPool(),
      () => this.#dial(url, trust),
      limits,
      onNativeFailed,
    )
    return host.native
  }

  /** Of connections in TLS; null: that is Node's, and so undici's. */
  #trustOf(): number | null {
    if (this.#trust === undefined) {
      const certificates = tlsTrust(this.#options.ca)
      this.#trust = certificates === null ? null : this.#receiver.trust(certificates, DEFAULT_CIPHERS)
    }
    return this.#trust
  }

  #keep(host: Host, connection: NativeRangeConnection): void {
    const drop = () => {
      clearTimeout(kept.timer)
      host.idle.splice(host.idle.indexOf(kept), 1)
      this.#open.delete(connection)
      connection.destroy(null)
    }
    const kept = { connection, drop, timer: setTimeout(drop, this.#options.keepAliveMs) }
    kept.timer.unref()
    host.idle.push(kept)
  }
}

/** A body on its way into its place. */
class Reception implements InPlaceBody {
  readonly request: RepeatableRequest
  readonly #host: Host
  readonly #connection: NativeRangeConnection
  readonly #end: (host: Host, connection: NativeRangeConnection) => void
  #hasEnded = false

  constructor(
    request: RepeatableRequest,
    host: Host,
    connection: NativeRangeConnection,
    end: (host: Host, connection: NativeRangeConnection) => void,
  ) {
    this.request = request
    this.#host = host
    this.#connection = connection
    this.#end = end
  }

  received(): Promise<void> {
    return this.#connection.body()
  }

  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#end(this.#host, this.#connection)
  }
}

/** Wait until a connection is not busy, or for the end of the watch. */
async function turn(host: Host, watch: TimedPhase): Promise<void> {
  let go = () => {}
  await new Promise<void>(resolve => {
    go = resolve
    host.waiting.push(go)
    watch.signal.addEventListener('abort', () => resolve(), { once: true })
  })
  if (watch.error === null) return
  const at = host.waiting.indexOf(go)
  if (at >= 0) host.waiting.splice(at, 1)
  // A turn that was given to a caller that has left is the next one's.
  else host.waiting.shift()?.()
  throw watch.error
}

function leave(host: Host): void {
  host.busy--
  host.waiting.shift()?.()
}

/** The request up to Range; null where a header cannot be sent like this: undici says what is wrong with it. */
function requestOf(facts: UrlFacts, isAbsolute: boolean, headers: Readonly<Record<string, string>>): string | null {
  // A proxy is told the whole URL. Source: RFC 9112 3.2.2.
  let request = isAbsolute ? facts.request.replace('GET ', `GET ${facts.origin}`) : facts.request
  for (const name in headers) {
    const value = headers[name]!
    if (name === 'range') continue
    if (!plain.test(name) || !plain.test(value)) return null
    request += `${name}: ${value}\r\n`
  }
  return request
}
