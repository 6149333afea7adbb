/**
 * One connection to a web server, on which the kernel writes the bodies of ranges straight into the memory of who reads them.
 *
 * One request at a time. What is not exactly the body that was asked for stays unread, and its connection ends. Source: Node's
 * documentation of net.connect, option `onread`: its function says where the next bytes belong, and no chunk is copied.
 */
import { connect as connectPlain, isIP, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls, rootCertificates } from 'node:tls'
import { once } from '../../../async/light-abort-signal.ts'
import type { SlicedQueue } from '../../../async/loop-slicer.ts'
import { CacheError } from '../../../base/errors.ts'
import type { TimedPhase } from '../protocol/exchange-timeout.ts'
import { InterimResponses } from '../protocol/interim-responses.ts'
import { type HttpHead, headBytesMax, parseHead } from '../protocol/response-head.ts'
import { connectWithin } from './connect-timeout.ts'
import { bodyOf, type Exchange, isWhole, type RangeConnection } from './range-connection.ts'

export interface NodeConnectOptions {
  readonly connectMsMax: number
  /** Trusted besides the usual ones, as PEM. */
  readonly ca: string | null
  /** What resolves the name of a host. @param origin as in URL.origin */
  lookupFor(origin: string): LookupFunction
}

export class NodeRangeConnection implements RangeConnection {
  readonly #socket: Socket
  readonly #bursts: Pick<SlicedQueue, 'run'>
  readonly ready: Promise<void>
  isReady = false
  readonly #head = Buffer.allocUnsafeSlow(headBytesMax)
  #headBytes = 0
  #informations = new InterimResponses()
  #exchange: Exchange | null = null
  #error: unknown = null
  #exchanges = 0
  #keepsAlive = false

  /** @param bursts where what follows from heads and bodies is done: those of many connections come together */
  constructor(url: URL, { connectMsMax, ca, lookupFor }: NodeConnectOptions, bursts: Pick<SlicedQueue, 'run'>) {
    this.#bursts = bursts
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const isTls = url.protocol === 'https:'
    const port = Number(url.port || (isTls ? 443 : 80))
    const onread = {
      buffer: () => this.#place(),
      callback: (bytes: number) => this.#received(bytes),
    }
    const common = { host, port, noDelay: true, lookup: lookupFor(url.origin), onread }
    const trusted = ca === null ? {} : { ca: [...rootCertificates, ca] }
    const servername = isIP(host) ? {} : { servername: host }
    this.#socket = isTls
      ? connectTls({ ...common, ...trusted, ...servername, ALPNProtocols: ['http/1.1'] } as never)
      : connectPlain(common)
    this.ready = connectWithin(this.#socket, isTls ? 'secureConnect' : 'connect', connectMsMax, url).then(() => {
      this.isReady = true
    })
    this.#socket.on('error', error => this.#fail(error))
    this.#socket.on('close', () =>
      this.#fail(new CacheError('origin-failed', `${url.origin}: the connection was lost`)),
    )
  }

  get isUsed(): boolean {
    return this.#exchanges > 0
  }

  get isOpen(): boolean {
    return this.#error === null && !this.#socket.destroyed
  }

  get isReceiving(): boolean {
    return (this.#exchange?.at ?? -1) >= 0
  }

  get hasAnswered(): boolean {
    return this.#headBytes > 0 || this.isReceiving
  }

  ask(request: string, target: Uint8Array, watch: TimedPhase): Promise<HttpHead> {
    return new Promise((resolve, reject) => {
      this.#headBytes = 0
      this.#informations = new InterimResponses()
      this.#exchange = { target, watch, at: -1, onHead: resolve, onBody: () => {}, fail: reject }
      const onAbort = () => this.destroy(watch.error)
      if (watch.signal.aborted) return onAbort()
      watch.signal.addEventListener('abort', onAbort, once)
      if (this.#error !== null) reject(this.#error)
      else this.#socket.write(request, 'latin1')
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
    this.#fail(error ?? new CacheError('aborted', 'the connection was given up'))
    this.#socket.destroy()
  }

  /** Where the next bytes belong. */
  #place(): Uint8Array {
    const exchange = this.#exchange
    if (exchange && exchange.at >= 0 && exchange.at < exchange.target.length)
      return exchange.target.subarray(exchange.at)
    return this.#head.subarray(this.#headBytes)
  }

  /** @returns whether to read on */
  #received(bytes: number): boolean {
    const exchange = this.#exchange
    if (!exchange || isWhole(exchange)) {
      this.destroy(new CacheError('origin-protocol', 'the server sent more than was asked for'))
      return false
    }
    exchange.watch.progress(bytes)
    if (exchange.at >= 0) exchange.at += bytes
    else if (!this.#receivedHead(exchange, bytes)) return this.isOpen
    if (isWhole(exchange)) this.#bursts.run(() => exchange.onBody())
    return true
  }

  /** @returns whether the body has begun */
  #receivedHead(exchange: Exchange, bytes: number): boolean {
    this.#headBytes += bytes
    try {
      const parsed = parseHead(this.#head.subarray(0, this.#headBytes))
      if (!parsed) return false
      const { head } = parsed
      if (head.status < 200) {
        this.#informations.add(parsed.bytes)
        return this.#receivedInformation(exchange, parsed.bytes)
      }
      const rest = this.#head.subarray(parsed.bytes, this.#headBytes)
      this.#keepsAlive = head.keepsAlive
      const isWanted = head.status === 206 && head.bodyBytes === exchange.target.length
      if (isWanted && rest.length <= exchange.target.length) {
        exchange.target.set(rest)
        exchange.at = rest.length
        this.#headBytes = 0
      }
      this.#bursts.run(() => exchange.onHead(head))
      return exchange.at >= 0
    } catch (error) {
      this.destroy(error)
      return false
    }
  }

  /** An answer that comes before the answer. Source: RFC 9110 15.2. */
  #receivedInformation(exchange: Exchange, bytes: number): boolean {
    this.#head.copyWithin(0, bytes, this.#headBytes)
    const rest = this.#headBytes - bytes
    this.#headBytes = 0
    return this.#receivedHead(exchange, rest)
  }

  #fail(error: unknown): void {
    this.#error ??= error
    // Whoever waits for what is all there has yet to hear of it.
    if (this.#exchange && !isWhole(this.#exchange)) this.#exchange.fail(this.#error)
  }
}
