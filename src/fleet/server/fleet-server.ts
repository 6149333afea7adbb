/**
 * Serving port: images for other hosts over HTTP, read-only. Its requests, by path: src/fleet/wire/wire.ts.
 *
 * Nobody gets an answer without a certificate of the group or the token. Whatever clients do, memory is bounded: heads,
 * connections, requests of one address, and bytes on their way. An address that another process has is tried again.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
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
  readonly answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>
}

export class FleetServer {
  readonly #parts: FleetServerContext
  readonly #server: Server
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
    this.#server = tls
      ? createTlsServer({ ...timeouts, ...tls, ...clientsOf(tls), handshakeTimeout: handshakeMsMax }, onRequest)
      : createServer(timeouts, onRequest)
    // Of a TLS server these are the sockets below TLS: the handshake counts, too.
    this.#server.on('connection', (socket: Socket) => this.#connected(socket))
    this.#server.on('checkContinue', onRequest)
    this.#server.on('upgrade', (_request, socket) => socket.destroy())
    this.#server.on('connect', (_request, socket) => socket.destroy())
    this.#server.on('clientError', (_error, socket) => socket.destroy())
    this.#server.on('error', error => this.#failed(error))
    this.#server.on('listening', () => this.#listening())
  }

  /** The port that it has; 0 while it has none. */
  get port(): number {
    const address = this.#server.address()
    return address !== null && typeof address === 'object' ? address.port : 0
  }

  /** Is the address ours now? */
  get isListening(): boolean {
    return this.#isListening
  }

  /** Begin to listen; resolves when it does, or when the first try has failed: others follow. */
  listen(): Promise<void> {
    return new Promise(resolve => {
      const end = () => {
        this.#server.off('listening', end)
        this.#server.off('error', end)
        resolve()
      }
      this.#server.once('listening', end)
      this.#server.once('error', end)
      this.#listen()
    })
  }

  /** Other certificates and another gatekeeper from now on; connections without a request end. */
  change(tls: SecureContextOptions | null, gatekeeper: Gatekeeper): void {
    this.#gatekeeper = gatekeeper
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
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    const timer = setTimeout(() => this.#server.closeAllConnections(), drainMsMax)
    await closed
    clearTimeout(timer)
  }

  #listen(): void {
    const { host, port } = this.#parts
    // IPv6 addresses mean themselves alone.
    this.#server.listen({ host, port, ipv6Only: true })
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
    socket.setNoDelay(true)
    socket.on('error', () => {}) // It is closed then.
    this.#parts.guard.admit(socket)
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
      const next = this.#waiting.get(request.socket)?.shift()
      if (!next) this.#waiting.delete(request.socket)
      else if (!request.socket.destroyed) next()
    })
    void this.#answer(request, response) // Never rejects.
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {}) // The client has gone.
    const raw = rawSocketOf(request.socket)
    const end = this.#parts.guard.begin(raw)
    if (!end) return refuse(response, 503, { connection: 'close' })
    response.once('close', end)
    if (!(await this.#gatekeeper.admits(request))) {
      this.#parts.onDenied()
      return refuse(response, 401, { connection: 'close', 'www-authenticate': 'Bearer' })
    }
    await this.#parts.answer(request, response)
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
