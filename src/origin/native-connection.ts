/**
 * A connection as range-connection.ts has them, without TLS, on which a native thread receives: of a range that comes as it was asked for,
 * this thread hears once, when all of it is in its place.
 *
 * Node connects: it knows names, addresses and which of them to try. Then the socket is handed over.
 */
import { connect, type Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { once } from '../aborting.ts'
import type { Bursts } from '../bursts.ts'
import { CacheError } from '../errors.ts'
import type { Receiver, ReceiverEvent } from '../native-receiver.ts'
import { type BodyConnection, bodyOf, type Exchange, isWhole } from './body-connection.ts'
import { connected } from './connected.ts'
import { type HttpHead, parseHead } from './http-head.ts'
import type { Watched } from './watch.ts'

/** Node has no other name for the descriptor of a socket. */
interface WithHandle {
  readonly _handle: { readonly fd: number }
}

export class NativeConnection implements BodyConnection {
  readonly #receiver: Receiver
  readonly #bursts: Pick<Bursts, 'do'>
  readonly #server: string
  readonly ready: Promise<void>
  isReady = false
  /** Null once it is handed over. */
  #socket: Socket | null
  #id: number | null = null
  #exchange: Exchange | null = null
  #error: unknown = null
  #exchanges = 0
  #keepsAlive = false
  hasAnswered = false

  /** @param url http: */
  constructor(url: URL, connectMsMax: number, receiver: Receiver, bursts: Pick<Bursts, 'do'>) {
    this.#receiver = receiver
    this.#bursts = bursts
    this.#server = url.origin
    const socket = connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 80), noDelay: true })
    this.#socket = socket
    socket.on('error', error => this.destroy(error))
    this.ready = connected(socket, 'connect', connectMsMax, url).then(
      () => this.#handOver(socket),
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

  ask(request: string, target: Uint8Array, watch: Watched): Promise<HttpHead> {
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
    // Whoever waits for what is all there has yet to hear of it.
    if (this.#exchange && !isWhole(this.#exchange)) this.#exchange.fail(this.#error)
  }

  #handOver(socket: Socket): void {
    if (this.#error !== null) throw this.#error
    this.#id = this.#receiver.adopt((socket as unknown as WithHandle)._handle.fd, (event, value, head) =>
      this.#hear(event, value, head),
    )
    this.#socket = null
    socket.destroy() // The connection goes on: it has another descriptor.
    this.isReady = true
  }

  #hear(event: ReceiverEvent, value: number, head: Uint8Array | null): void {
    const exchange = this.#exchange
    if (event === 'lost') {
      this.hasAnswered ||= head !== null
      this.destroy(lost(this.#server, value))
      return
    }
    if (!exchange) return
    this.hasAnswered = true
    if (value > 0) exchange.watch.touch(value)
    if (event === 'whole') exchange.at = exchange.target.length
    if (head && !this.#hearHead(exchange, head, event !== 'other')) return
    if (event === 'whole') this.#bursts.do(() => exchange.onBody())
  }

  /** @returns whether it is one */
  #hearHead(exchange: Exchange, bytes: Uint8Array, isRange: boolean): boolean {
    try {
      const { head } = parseHead(bytes)!
      const isWanted = head.status === 206 && head.bodyBytes === exchange.target.length
      if (isRange && !isWanted) throw new CacheError('origin-protocol', `${this.#server}: an answer of two meanings`)
      this.#keepsAlive = head.keepsAlive
      if (isRange) exchange.at = Math.max(exchange.at, 0)
      this.#bursts.do(() => exchange.onHead(head))
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
