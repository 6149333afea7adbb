/**
 * A connection to a web server on which a native thread receives bodies of ranges in place, one request at a time, and
 * speaks TLS. The main thread hears once of a range that comes as it was asked for: when all of it is in its place.
 *
 * Node connects (dialer.ts): it knows names, addresses and proxies. Then the socket is handed over. An answer that is
 * not exactly the body that was asked for ends the connection.
 */
import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { once } from '../../../async/light-abort-signal.ts'
import type { SlicedQueue } from '../../../async/loop-slicer.ts'
import { CacheError } from '../../../base/errors.ts'
import type { RangeReceiver, ReceiverEvent } from '../../../native/range-receiver.ts'
import type { TimedPhase } from '../protocol/exchange-timeout.ts'
import { hostOf } from '../protocol/http-url.ts'
import { tooManyInterimResponses } from '../protocol/interim-responses.ts'
import { type HttpHead, parseHead } from '../protocol/response-head.ts'
import type { Dialer } from './dialer.ts'

/** Node has no other name for the descriptor of a socket. */
interface WithHandle {
  readonly _handle: { readonly fd: number } | null
}

export interface RangeConnectOptions {
  readonly connectMsMax: number
  /** Connects, without TLS with a proxy: a descriptor is handed over. */
  readonly dialer: Pick<Dialer, 'dial'>
  /** As {@link RangeReceiver.trust} has it; for https: only. */
  readonly trust: number | null
}

/** A request under way. */
interface Exchange {
  readonly target: Uint8Array
  readonly watch: TimedPhase
  /** Bytes of the body that are known to be in `target`; -1 until the head has arrived. */
  at: number
  readonly onHead: (head: HttpHead) => void
  onBody: () => void
  fail: (error: unknown) => void
}

/** TLS could not be agreed on natively. The reason comes from Node, which may believe in more. */
export class HandshakeRefused extends Error {}

export class NativeRangeConnection {
  readonly #receiver: RangeReceiver
  readonly #slicer: Pick<SlicedQueue, 'run'>
  readonly #server: string
  readonly #trust: number | null
  /** Settles when it can be used. */
  readonly ready: Promise<void>
  /** Has {@link ready} resolved? */
  isReady = false
  /** Null once it is handed over. */
  #socket: Socket | null
  #id: number | null = null
  /** Until TLS is agreed on. */
  #greeting: { onReady(): void; fail(error: unknown): void } | null = null
  #exchange: Exchange | null = null
  #error: unknown = null
  #keepsAlive = false
  /** Did anything of the answer arrive? */
  hasAnswered = false

  /** @param bursts runs what follows from heads and bodies: those of many connections come together */
  constructor(
    url: URL,
    { connectMsMax, dialer, trust }: RangeConnectOptions,
    receiver: RangeReceiver,
    slicer: Pick<SlicedQueue, 'run'>,
  ) {
    this.#receiver = receiver
    this.#slicer = slicer
    this.#server = url.origin
    this.#trust = trust
    const untilMs = performance.now() + connectMsMax
    const { socket, connected } = dialer.dial(url)
    this.#socket = socket
    this.ready = connected
      .then(() => this.#handOver(socket, hostOf(url)))
      .then(() => (trust === null ? null : this.#agreed(untilMs, connectMsMax)))
      .then(
        () => {
          this.isReady = true
        },
        error => {
          this.destroy(error)
          throw this.#error
        },
      )
  }

  get isOpen(): boolean {
    return this.#error === null
  }

  /** Is the body that was asked for arriving in its place, or all there? */
  get isReceiving(): boolean {
    return (this.#exchange?.at ?? -1) >= 0
  }

  /**
   * Send a request whose body, if it has the length of `target`, goes into that.
   * @returns the head
   */
  ask(request: string, target: Uint8Array, watch: TimedPhase): Promise<HttpHead> {
    return new Promise((resolve, reject) => {
      this.hasAnswered = false
      this.#exchange = { target, watch, at: -1, onHead: resolve, onBody: () => {}, fail: reject }
      const onAbort = () => this.destroy(watch.error)
      if (watch.signal.aborted) return onAbort()
      watch.signal.addEventListener('abort', onAbort, once)
      if (this.#error !== null || this.#id === null) return reject(this.#error)
      try {
        this.#receiver.ask(this.#id, Buffer.from(request, 'latin1'), target)
      } catch (error) {
        this.destroy(error)
      }
    })
  }

  /** After {@link ask}: resolves when all of the body is in its place. */
  body(): Promise<void> {
    const exchange = this.#exchange
    return new Promise((resolve, reject) => {
      if (exchange && isWhole(exchange)) return resolve()
      if (!exchange || this.#error !== null) return reject(this.#error)
      exchange.onBody = resolve
      exchange.fail = reject
    })
  }

  /** The exchange is over. @returns whether another one may follow */
  end(): boolean {
    const exchange = this.#exchange
    this.#exchange = null
    if (exchange && isWhole(exchange) && this.#keepsAlive && this.isOpen) return true
    this.destroy(null)
    return false
  }

  /** Nothing is written into any target from now on. */
  destroy(error: unknown): void {
    this.#error ??= error ?? new CacheError('aborted', 'the connection was given up')
    this.#socket?.destroy()
    this.#socket = null
    if (this.#id !== null) this.#receiver.drop(this.#id)
    this.#id = null
    this.#greeting?.fail(this.#error)
    // Whoever waits for what is all there has yet to hear of it.
    if (this.#exchange && !isWhole(this.#exchange)) this.#exchange.fail(this.#error)
  }

  /** Give an idle connection away. @returns its id at the receiver, or null where it has ended */
  release(): number | null {
    const id = this.#error === null ? this.#id : null
    if (id !== null) this.#receiver.forget(id)
    this.#id = null
    this.destroy(null)
    return id
  }

  #handOver(socket: Socket, host: string): void {
    if (this.#error !== null) throw this.#error
    const fd = (socket as unknown as WithHandle)._handle?.fd ?? -1
    if (fd < 0) throw lost(this.#server, 0)
    const hear = (event: ReceiverEvent, value: number, head: Uint8Array | null) => this.#hear(event, value, head)
    this.#id =
      this.#trust === null ? this.#receiver.adopt(fd, hear) : this.#receiver.adoptTls(fd, this.#trust, host, hear)
    this.#socket = null
    socket.destroy() // The connection goes on: it has another descriptor.
  }

  /** Resolves when TLS is. */
  #agreed(untilMs: number, msMax: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#error !== null) return reject(this.#error)
      const late = () =>
        this.destroy(new CacheError('origin-unreachable', `${this.#server}: no connection in ${msMax} ms`))
      const timer = setTimeout(late, untilMs - performance.now())
      const over = (end: () => void) => {
        clearTimeout(timer)
        this.#greeting = null
        end()
      }
      this.#greeting = { onReady: () => over(resolve), fail: error => over(() => reject(error)) }
    })
  }

  #hear(event: ReceiverEvent, value: number, head: Uint8Array | null): void {
    const exchange = this.#exchange
    if (event === 'ready') this.#greeting?.onReady()
    if (event === 'refused') this.destroy(new HandshakeRefused(this.#server))
    if (event === 'lost') {
      this.hasAnswered ||= head !== null
      this.destroy(lost(this.#server, value))
      return
    }
    if (!exchange) return
    this.hasAnswered = true
    if (value > 0) exchange.watch.progress(value)
    if (event === 'whole') exchange.at = exchange.target.length
    if (head && !this.#hearHead(exchange, head, event !== 'other')) return
    if (event === 'whole') this.#slicer.run(() => exchange.onBody())
  }

  /** @returns whether it is one */
  #hearHead(exchange: Exchange, bytes: Uint8Array, isRange: boolean): boolean {
    try {
      const { head } = parseHead(bytes)!
      // It was not the answer yet, and there were too many of these.
      if (head.status < 200) throw tooManyInterimResponses()
      const isWanted = head.status === 206 && head.bodyBytes === exchange.target.length
      if (isRange && !isWanted) throw new CacheError('origin-protocol', `${this.#server}: an answer of two meanings`)
      this.#keepsAlive = head.keepsAlive
      if (isRange) exchange.at = Math.max(exchange.at, 0)
      this.#slicer.run(() => exchange.onHead(head))
      return true
    } catch (error) {
      exchange.at = -1
      this.destroy(error)
      return false
    }
  }
}

/** Has all of the body arrived? */
function isWhole({ at, target }: Exchange): boolean {
  return at === target.length
}

function lost(server: string, errno: number): Error {
  if (errno === 0) return new CacheError('origin-failed', `${server}: the connection was lost`)
  const code = getSystemErrorName(-errno)
  return Object.assign(new Error(`${server}: ${code}`), { code })
}
