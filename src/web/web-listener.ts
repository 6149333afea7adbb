/**
 * Port of the page: HTTP, or HTTPS with TLS 1.3 and nothing older. Its connections have a bound, and requests a time.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { CacheError, messageOf } from '../base/errors.ts'
import { webConnectionsMax, webRequestMsMax } from './limits.ts'

export interface WebListenerOptions {
  readonly host: string
  /** 0: one that is free. */
  readonly port: number
  /** PEM; null: without TLS. */
  readonly tls: { readonly certificate: string | Buffer; readonly key: string | Buffer } | null
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
}

export class WebListener {
  readonly #server: Server
  #refused = 0
  #closing: Promise<void> | undefined

  private constructor({ tls, handle }: WebListenerOptions) {
    const limits = { requestTimeout: webRequestMsMax, headersTimeout: webRequestMsMax }
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      // A page that leaves is no event.
      response.on('error', () => {})
      void handle(request, response) // Never rejects.
    }
    this.#server = tls
      ? createTlsServer({ ...limits, cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.3' }, answer)
      : createServer(limits, answer)
    this.#server.maxConnections = webConnectionsMax
    this.#server.on('drop', () => this.#refused++)
  }

  /** Connections over the bound. */
  get refused(): number {
    return this.#refused
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** @throws CacheError invalid-argument when it cannot be had, or the certificate is none */
  static async listen(options: WebListenerOptions): Promise<WebListener> {
    const { host, port } = options
    const fail = (cause: unknown) =>
      new CacheError('invalid-argument', `the page cannot be served at ${host}:${port}: ${messageOf(cause)}`, { cause })
    let listener: WebListener
    try {
      listener = new WebListener(options)
    } catch (cause) {
      throw fail(cause)
    }
    await new Promise<void>((resolve, reject) => {
      listener.#server.once('error', cause => reject(fail(cause)))
      listener.#server.listen({ port, host }, resolve)
    })
    return listener
  }

  /** Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= new Promise<void>(resolve => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    }))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
