/**
 * Serving port: images for other hosts over HTTP, read-only. Its requests, by path: src/fleet/wire/wire.ts.
 *
 * Nobody gets an answer without a certificate of the group or the token. Whatever clients do, memory is bounded: heads,
 * connections, requests of one address, and bytes on their way. An address that another process has is tried again.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createListener, type Server as Listener, type Socket } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { pause } from '../../async/pause.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { refuse } from './answer.ts'
import type { ConnectionGuard } from './connection-guard.ts'
import type { Gatekeeper } from './gatekeeper.ts'
import {
  drainMsMax,
  handshakeMsMax,
  headMsMax,
  idleMsMax,
  listenRetryMs,
  logPauseMs,
  pipelinedMax,
  requestHeadBytesMax,
  requestMsMax,
} from './limits.ts'
import type { SendingRate } from './sending-rate.ts'
import { type CreateFront, type NativeClient, ServingConnections } from './serving-connections.ts'

export interface FleetServerContext {
  readonly host: string
  readonly port: number
  /** Null: HTTP without TLS. */
  readonly tls: SecureContextOptions | null
  readonly gatekeeper: Gatekeeper
  readonly guard: ConnectionGuard
  readonly logger: Logger
  /** Hears of each request that is answered 401. */
  readonly onDenied: () => void
  /** Answers a request of a client who may ask. Never rejects. */
  readonly answer: (request: IncomingMessage, response: ServerResponse, client: NativeClient | null) => Promise<void>
  /** Null: connections stay with Node. */
  readonly createFront: CreateFront | null
}

export class FleetServer {
  readonly #parts: FleetServerContext
  /** Parses and answers requests; without native connections it is the listener, too. */
  readonly #server: Server
  readonly #listener: Listener
  readonly #native: ServingConnections | null
  readonly #clients = new WeakMap<Socket, NativeClient>()
  #gatekeeper: Gatekeeper
  #retry: NodeJS.Timeout | undefined
  /** Requests behind the one that is being answered, by connection. */
  readonly #waiting = new WeakMap<Socket, (() => void)[]>()
  #loggedMs = Number.NEGATIVE_INFINITY
  #isListening = false
  #closing: Promise<void> | undefined

  constructor(parts: FleetServerContext) {
    this.#parts = parts
    this.#gatekeeper = parts.gatekeeper
    const timeouts = {
      maxHeaderSize: requestHeadBytesMax,
      headersTimeout: headMsMax,
      requestTimeout: requestMsMax,
      keepAliveTimeout: idleMsMax,
      connectionsCheckingInterval: headMsMax / 4,
    }
    const onRequest = (request: IncomingMessage, response: ServerResponse) => this.#queue(request, response)
    const { tls } = parts
    this.#native = this.#openNative()
    this.#server = this.#native
      ? createServer({ ...timeouts, keepAliveTimeout: 0 }, onRequest)
      : tls
        ? createTlsServer({ ...timeouts, ...tls, ...clientsOf(tls), handshakeTimeout: handshakeMsMax }, onRequest)
        : createServer(timeouts, onRequest)
    this.#listener = this.#native ? createListener({ pauseOnConnect: true, noDelay: true }) : this.#server
    // Of a TLS server these are the sockets below TLS: the handshake counts, too.
    this.#listener.on('connection', (socket: Socket) => this.#connected(socket))
    this.#server.on('checkContinue', onRequest)
    this.#server.on('upgrade', (_request, socket) => socket.destroy())
    this.#server.on('connect', (_request, socket) => socket.destroy())
    this.#server.on('clientError', (_error, socket) => socket.destroy())
    this.#listener.on('error', error => this.#failed(error))
    this.#listener.on('listening', () => this.#listening())
  }

  /** The port that it has; 0 while it has none. */
  get port(): number {
    const address = this.#listener.address()
    return address !== null && typeof address === 'object' ? address.port : 0
  }

  /** Is the address ours now? */
  get isListening(): boolean {
    return this.#isListening
  }

  /** Bytes that native threads have sent. */
  get nativeBytes(): number {
    return this.#native?.sentBytes ?? 0
  }

  /** The rate that native threads keep; null: there are none. */
  get rate(): SendingRate | null {
    return this.#native?.rate ?? null
  }

  /** Answers that native threads gave by themselves, and their bytes. */
  get permitted(): { readonly answers: number; readonly bytes: number } {
    return this.#native?.permitted ?? { answers: 0, bytes: 0 }
  }

  /** Of these bytes, those of a member. */
  permittedTo(memberId: string): number {
    return this.#native?.permittedTo(memberId) ?? 0
  }

  /** Each request is decided anew: what decisions come from has changed. */
  revoke(): void {
    this.#native?.revoke()
  }

  /** Begin to listen; resolves when it does, or when the first try has failed: others follow. */
  listen(): Promise<void> {
    return new Promise(resolve => {
      const end = () => {
        this.#listener.off('listening', end)
        this.#listener.off('error', end)
        resolve()
      }
      this.#listener.once('listening', end)
      this.#listener.once('error', end)
      this.#listen()
    })
  }

  /** Other certificates and another gatekeeper from now on; connections without a request end. */
  change(tls: SecureContextOptions | null, gatekeeper: Gatekeeper): void {
    this.#gatekeeper = gatekeeper
    if (this.#native) {
      this.#native.revoke()
      this.#native.dropIdle()
      if (tls && !this.#native.identify(tls)) this.#keepIdentity()
      return
    }
    if (tls && 'setSecureContext' in this.#server) {
      const server = this.#server as Server & { setSecureContext(options: SecureContextOptions): void }
      server.setSecureContext(tls)
    }
    this.#server.closeIdleConnections()
  }

  /** End what is under way, for a while; then all connections. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    clearTimeout(this.#retry)
    const closed = new Promise<void>(resolve => this.#listener.close(() => resolve()))
    if (this.#native) return this.#closeNative(this.#native, closed)
    this.#server.closeIdleConnections()
    const timer = setTimeout(() => this.#server.closeAllConnections(), drainMsMax)
    await closed
    clearTimeout(timer)
  }

  async #closeNative(native: ServingConnections, closed: Promise<void>): Promise<void> {
    native.dropIdle()
    const waiting = new LightAbortSignal()
    await Promise.race([native.drained(), pause(drainMsMax, waiting)])
    waiting.abort()
    native.close()
    await closed
  }

  /** Null: connections stay with Node, as TLS does where this process has no OpenSSL that the addon knows. */
  #openNative(): ServingConnections | null {
    const { createFront, tls } = this.#parts
    if (!createFront) return null
    const native = new ServingConnections({ createFront, onLink: (link, client) => this.#linked(link, client) })
    if (tls === null || native.identify(tls)) return native
    native.close()
    return null
  }

  #linked(link: Socket, client: NativeClient): void {
    this.#clients.set(link, client)
    link.on('error', () => {}) // It is closed then.
    this.#server.emit('connection', link)
  }

  #keepIdentity(): void {
    const { host, port, logger } = this.#parts
    const reason = 'the addon does not take these certificates'
    logger.error(
      { address: host, port, reason },
      'other hosts see the certificates of before: those of now are not usable',
    )
  }

  #listen(): void {
    const { host, port } = this.#parts
    // IPv6 addresses mean themselves alone.
    this.#listener.listen({ host, port, ipv6Only: true })
  }

  #listening(): void {
    const { host, port, tls, logger } = this.#parts
    this.#isListening = true
    logger.info({ address: host, port, tls: tls !== null }, 'images are served to other hosts')
  }

  #failed(error: Error): void {
    const { host, port, logger } = this.#parts
    if (performance.now() - this.#loggedMs > logPauseMs) {
      this.#loggedMs = performance.now()
      const facts = { address: host, port, reason: messageOf(error) }
      logger.error(facts, 'images are not served to other hosts: the address is not to be had; it is tried again')
    }
    if (this.#isListening || this.#closing) return
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => this.#listen(), listenRetryMs).unref()
  }

  #connected(socket: Socket): void {
    socket.on('error', () => {}) // It is closed then.
    const connection = this.#native ? this.#native.adopt(socket) : socket.setNoDelay(true)
    if (connection) this.#parts.guard.admit(connection)
  }

  /** Requests of one connection are answered one after the other. */
  #queue(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const waiting = this.#waiting.get(socket)
    if (!waiting) {
      this.#waiting.set(socket, [])
      this.#begin(request, response)
    } else if (waiting.length < pipelinedMax) waiting.push(() => this.#begin(request, response))
    else socket.destroy()
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    response.once('close', () => {
      this.#clients.get(request.socket)?.answered(request.socket)
      const next = this.#waiting.get(request.socket)?.shift()
      if (!next) this.#waiting.delete(request.socket)
      else if (!request.socket.destroyed) next()
    })
    void this.#answer(request, response) // Never rejects.
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {}) // The client has gone.
    const client = this.#clients.get(request.socket) ?? null
    client?.begin()
    const end = this.#parts.guard.begin(client ?? rawSocketOf(request.socket))
    if (!end) return refuse(response, 503, { connection: 'close' })
    response.once('close', end)
    if (!(await this.#gatekeeper.admits(request, client))) {
      this.#parts.onDenied()
      return refuse(response, 401, { connection: 'close', 'www-authenticate': 'Bearer' })
    }
    await this.#parts.answer(request, response, client)
  }
}

/** A client without a certificate is heard: a token may let it in, and all else is 401. */
function clientsOf({ ca }: SecureContextOptions) {
  return { requestCert: ca !== undefined, rejectUnauthorized: false }
}

/** The socket below TLS, which the guard knows. */
function rawSocketOf(socket: Socket): Socket {
  return (socket as Socket & { readonly _parent?: Socket | null })._parent ?? socket
}
