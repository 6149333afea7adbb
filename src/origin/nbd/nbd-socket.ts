/**
 * Socket to an NBD server: bytes by the number that is asked for during the handshake, and as they come afterwards.
 *
 * Its first error is its last: whatever waits hears of it, and the socket is destroyed.
 */
import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { CacheError } from '../../base/errors.ts'
import { nbdReceiveBytes, nbdUnaskedBytesMax } from './limits.ts'
import { protocolError } from './nbd-errors.ts'

/** The address of a server. */
export type NbdAddress =
  | { readonly host: string; readonly port: number }
  /** A Unix socket. */
  | { readonly path: string }

/** Takes bytes that are good until it returns. @throws CacheError */
export type Receive = (bytes: Uint8Array) => void

interface Waiting {
  readonly bytes: number
  readonly resolve: (bytes: Buffer) => void
  readonly reject: (error: unknown) => void
}

export class NbdSocket {
  #socket: Socket
  #error: unknown = null
  #connected = false
  /** `new` until the server has said something in it. */
  #tls: 'none' | 'new' | 'in use' = 'none'
  /** Received, and not asked for yet. */
  #held: Buffer = Buffer.alloc(0)
  #waiting: Waiting | null = null
  #receive: Receive = bytes => this.#hold(bytes)
  #onError: (error: unknown) => void = () => {}
  #cancelDeadline: () => void

  /**
   * Connects.
   * @param willBeTls the connection is going to be encrypted
   * @param msMax time until {@link pass}
   */
  constructor(address: NbdAddress, willBeTls: boolean, msMax: number) {
    const received = (bytes: Uint8Array) => this.#received(bytes)
    // One buffer for all that comes, unless Node's TLS takes the socket over: that has its own.
    const callback = (count: number, buffer: Uint8Array) => {
      received(buffer.subarray(0, count))
      return true
    }
    const onread = { buffer: Buffer.allocUnsafeSlow(willBeTls ? 0 : nbdReceiveBytes), callback }
    this.#socket = connect({ ...address, noDelay: true, keepAlive: true, ...(willBeTls ? {} : { onread }) })
    if (willBeTls) this.#socket.on('data', received)
    this.#socket.once('connect', () => {
      this.#connected = true
    })
    this.#listen(this.#socket)
    const late = () =>
      this.#connected
        ? new CacheError('origin-timeout', `no handshake in ${msMax} ms: it may take no further client`)
        : new CacheError('origin-unreachable', `no connection in ${msMax} ms`)
    const timer = setTimeout(() => this.fail(late()), msMax)
    this.#cancelDeadline = () => clearTimeout(timer)
  }

  /** The next `bytes` bytes, during the handshake. */
  async take(bytes: number): Promise<Buffer> {
    if (this.#error !== null) throw this.#error
    if (this.#held.length >= bytes) return this.#cut(bytes)
    return await new Promise((resolve, reject) => {
      this.#waiting = { bytes, resolve, reject }
    })
  }

  write(bytes: Uint8Array): void {
    if (this.#error === null) this.#socket.write(bytes)
  }

  /**
   * Go on in TLS. @throws Error
   */
  async upgrade(options: ConnectionOptions): Promise<void> {
    // Else an attacker on the way could say something in the name of the server.
    this.#mustHoldNothing()
    const plain = this.#socket
    this.#tls = 'new'
    plain.removeAllListeners('data')
    await new Promise<void>((resolve, reject) => {
      this.#waiting = { bytes: 0, resolve: () => resolve(), reject }
      const secure = connectTls({ ...options, socket: plain }, () => {
        this.#waiting = null
        resolve()
      })
      this.#socket = secure
      this.#listen(secure)
      secure.on('data', bytes => this.#received(bytes))
    })
  }

  /** The handshake is over: whatever comes goes to `receive`, and the end to `onError`, once. */
  pass(receive: Receive, onError: (error: unknown) => void): void {
    if (this.#error !== null) throw this.#error
    this.#mustHoldNothing()
    this.#cancelDeadline()
    this.#receive = receive
    this.#onError = onError
  }

  /** Give it up. */
  fail(error: unknown): void {
    if (this.#error !== null) return
    this.#error = error
    this.#cancelDeadline()
    this.#socket.destroy()
    this.#waiting?.reject(error)
    this.#waiting = null
    this.#held = Buffer.alloc(0)
    this.#onError(error)
  }

  /** Close it with these last words. Nothing waits for it any more. */
  end(words: Uint8Array): void {
    if (this.#error !== null) return
    this.#socket.end(words, () => this.#socket.destroy())
    this.#error = new CacheError('closed', 'the connection was closed')
    this.#cancelDeadline()
    this.#waiting?.reject(this.#error)
  }

  #listen(socket: Socket): void {
    socket.on('error', error => {
      // A name with several addresses has an error of each, and no words of its own.
      this.fail(this.#explained(error instanceof AggregateError ? error.errors[0] : error))
    })
    socket.once('close', () => this.fail(this.#explained(new Error('the connection broke'))))
  }

  /** Servers that do not like a certificate or a key mostly hang up, and not all before the client is done. */
  #explained(cause: NodeJS.ErrnoException): Error {
    const code = cause.code?.startsWith('ERR_SSL') && /ALERT/.test(cause.code) ? 'access-denied' : 'origin-unreachable'
    const hasHungUp = cause.code === undefined || cause.code === 'ECONNRESET' || cause.code === 'EPIPE'
    if (code !== 'access-denied' && !(hasHungUp && this.#tls === 'new')) return cause
    const why = 'in the TLS handshake or right after it: the server may want another certificate or key'
    return new CacheError(code, `${cause.message}, ${why}`, { cause })
  }

  #received(bytes: Uint8Array): void {
    if (this.#error !== null) return
    if (this.#tls === 'new') this.#tls = 'in use'
    try {
      this.#receive(bytes)
    } catch (error) {
      this.fail(error)
    }
  }

  #hold(bytes: Uint8Array): void {
    this.#held = Buffer.concat([this.#held, bytes])
    const waiting = this.#waiting
    if (waiting === null) {
      if (this.#held.length > nbdUnaskedBytesMax) throw protocolError('the server talks without being asked')
    } else if (this.#held.length >= waiting.bytes) {
      this.#waiting = null
      waiting.resolve(this.#cut(waiting.bytes))
    }
  }

  #cut(bytes: number): Buffer {
    const cut = this.#held.subarray(0, bytes)
    this.#held = this.#held.subarray(bytes)
    return cut
  }

  #mustHoldNothing(): void {
    if (this.#held.length > 0) throw protocolError('the server says more than it was asked for')
  }
}
