/**
 * A connection as node-range-connection.ts has them, on which a native thread receives, and speaks TLS: of a range that comes as it was asked
 * for, this thread hears once, when all of it is in its place.
 *
 * Node connects: it knows names, addresses and which of them to try. Then the socket is handed over.
 */
import { connect, type Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { once } from '../../../async/light-abort-signal.ts'
import type { SlicedQueue } from '../../../async/loop-slicer.ts'
import { CacheError } from '../../../base/errors.ts'
import type { RangeReceiver, ReceiverEvent } from '../../../native/range-receiver.ts'
import type { TimedPhase } from '../protocol/exchange-timeout.ts'
import { tooManyInterimResponses } from '../protocol/interim-responses.ts'
import { type HttpHead, parseHead } from '../protocol/response-head.ts'
import { connectWithin } from './connect-timeout.ts'
import type { NodeConnectOptions } from './node-range-connection.ts'
import { bodyOf, type Exchange, isWhole, type RangeConnection } from './range-connection.ts'

/** Node has no other name for the descriptor of a socket. */
interface WithHandle {
  readonly _handle: { readonly fd: number }
}

export interface NativeRangeConnectOptions extends Pick<NodeConnectOptions, 'connectMsMax' | 'lookupFor'> {
  /** As {@link RangeReceiver.trust} has it; for https: only. */
  readonly trust: number | null
}

/** TLS could not be agreed on natively. Why, Node says, which may believe in more. */
export class HandshakeRefused extends Error {}

export class NativeRangeConnection implements RangeConnection {
  readonly #receiver: RangeReceiver
  readonly #bursts: Pick<SlicedQueue, 'run'>
  readonly #server: string
  readonly #trust: number | null
  readonly ready: Promise<void>
  isReady = false
  /** Null once it is handed over. */
  #socket: Socket | null
  #id: number | null = null
  /** Until TLS is agreed on. */
  #greeting: { onReady(): void; fail(error: unknown): void } | null = null
  #exchange: Exchange | null = null
  #error: unknown = null
  #exchanges = 0
  #keepsAlive = false
  hasAnswered = false

  constructor(
    url: URL,
    { connectMsMax, lookupFor, trust }: NativeRangeConnectOptions,
    receiver: RangeReceiver,
    bursts: Pick<SlicedQueue, 'run'>,
  ) {
    this.#receiver = receiver
    this.#bursts = bursts
    this.#server = url.origin
    this.#trust = trust
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
    const untilMs = performance.now() + connectMsMax
    const socket = connect({ host, port, noDelay: true, lookup: lookupFor(url.origin) })
    this.#socket = socket
    socket.on('error', error => this.destroy(error))
    this.ready = connectWithin(socket, 'connect', connectMsMax, url)
      .then(() => this.#handOver(socket, host))
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

  get isUsed(): boolean {
    return this.#exchanges > 0
  }

  get isOpen(): boolean {
    return this.#error === null
  }

  get isReceiving(): boolean {
    return (this.#exchange?.at ?? -1) >= 0
  }

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

  body(): Promise<void> {
    return bodyOf(this.#exchange, this.#error)
  }

  end(): boolean {
    const exchange = this.#exchange
    this.#exchange = null
    this.#exchanges++
    if (exchange && isWhole(exchange) && this.#keepsAlive && this.isOpen) return true
    this.destroy(null)
    return false
  }

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

  #handOver(socket: Socket, host: string): void {
    if (this.#error !== null) throw this.#error
    const { fd } = (socket as unknown as WithHandle)._handle
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
    if (event === 'whole') this.#bursts.run(() => exchange.onBody())
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
      this.#bursts.run(() => exchange.onHead(head))
      return true
    } catch (error) {
      exchange.at = -1
      this.destroy(error)
      return false
    }
  }
}

function lost(server: string, errno: number): Error {
  if (errno === 0) return new CacheError('origin-failed', `${server}: the connection was lost`)
  const code = getSystemErrorName(-errno)
  return Object.assign(new Error(`${server}: ${code}`), { code })
}
