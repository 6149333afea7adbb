/**
 * Metrics port: `GET /metrics` over TCP on 127.0.0.1, and nothing else. It has no other address because it has no
 * credentials: the operator decides what leaves the machine.
 */
import { createServer, type Server } from 'node:http'
import { CacheError, messageOf } from '../base/errors.ts'
import { adminMsMax, metricsConnectionsMax } from './limits.ts'
import { metricsContentType } from './metrics.ts'

export class MetricsPort {
  readonly #server: Server
  #refused = 0
  #closing: Promise<void> | undefined

  private constructor(metrics: () => Promise<string>) {
    this.#server = createServer({ requestTimeout: adminMsMax }, (request, response) => {
      const say = (status: number, type: string, text: string) => {
        response.writeHead(status, { 'content-type': type, connection: 'close' }).end(text)
      }
      if (request.method !== 'GET' || request.url !== '/metrics') {
        return say(404, 'text/plain', 'there is only GET /metrics\n')
      }
      void metrics().then(
        text => say(200, metricsContentType, text),
        error => say(500, 'text/plain', `${messageOf(error)}\n`),
      )
    })
    this.#server.maxConnections = metricsConnectionsMax
    this.#server.on('drop', () => this.#refused++)
  }

  /** Connections over the bound. */
  get refused(): number {
    return this.#refused
  }

  /** @throws CacheError invalid-argument when it cannot be had */
  static async listen(port: number, metrics: () => Promise<string>): Promise<MetricsPort> {
    const opened = new MetricsPort(metrics)
    await new Promise<void>((resolve, reject) => {
      opened.#server.once('error', cause => {
        const advice = 'another program has it, or it needs root: choose another metrics.port'
        reject(new CacheError('invalid-argument', `metrics port ${port}: ${messageOf(cause)}; ${advice}`, { cause }))
      })
      opened.#server.listen({ port, host: '127.0.0.1' }, resolve)
    })
    return opened
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
