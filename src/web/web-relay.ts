/**
 * Relay of `parentfs web`: serves the files of the page, and hands what asks the daemon to its admin socket. It
 * outlives workers: a question that finds none is answered so, and the page asks again.
 */
import { request as ask, type IncomingMessage, type ServerResponse } from 'node:http'
import { requestPlanBasis } from '../admin/admin-client.ts'
import { troubleOf } from '../admin/supervisor-presence.ts'
import { CacheError } from '../base/errors.ts'
import { webRequestMsMax } from './limits.ts'
import { PlanReports } from './plan-report.ts'
import { sendJson, sendProblem } from './web-exchange.ts'
import { securityHeaders, WebFiles } from './web-files.ts'

/** Headers of the daemon's answer that reach the page. */
const passedHeaders = ['content-type', 'cache-control'] as const

export class WebRelay {
  readonly #socketPath: string
  readonly #mountpoint: string
  readonly #files = new WebFiles()
  readonly #plans: PlanReports

  constructor(socketPath: string, mountpoint: string) {
    this.#socketPath = socketPath
    this.#mountpoint = mountpoint
    this.#plans = new PlanReports(() => requestPlanBasis(socketPath))
  }

  /** @param path without a slash in front. Never rejects. */
  async handle(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (/^api\/plan(\?|$)/.test(path)) sendJson(response, 200, { plan: await this.#plans.get() })
      else if (path.startsWith('api/')) await this.#pass(path, request, response)
      else await this.#serve(path, response)
    } catch (error) {
      sendProblem(response, error)
    }
  }

  async #serve(path: string, response: ServerResponse): Promise<void> {
    const file = await this.#files.find(path.split('?', 1)[0]!)
    if (!file) throw new CacheError('not-found', `there is no ${JSON.stringify(path)}`)
    const headers = { ...securityHeaders, 'content-type': file.type, 'cache-control': 'no-cache' }
    response.writeHead(200, headers).end(file.bytes)
  }

  #pass(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    return new Promise((resolve, reject) => {
      const { method = 'GET' } = request
      const options = { socketPath: this.#socketPath, method, path: `/web/${path}`, agent: false as const }
      const asked = ask({ ...options, timeout: webRequestMsMax })
      // Silence before the answer is a worker that hangs. A stream says something each second.
      asked.on('timeout', () => asked.destroy(new Error('the daemon says nothing')))
      asked.on('error', cause => {
        const trouble = troubleOf(this.#socketPath)
        const why = trouble === null ? 'it has stopped, or another one is about to take over' : trouble
        reject(new CacheError('closed', `no daemon answers for ${this.#mountpoint}: ${why}`, { cause }))
      })
      asked.once('response', answer => {
        const passed = passedHeaders.flatMap(name => (answer.headers[name] ? [[name, answer.headers[name]]] : []))
        response.writeHead(answer.statusCode ?? 502, { ...securityHeaders, ...Object.fromEntries(passed) })
        response.flushHeaders()
        answer.pipe(response)
        // Cut off on one side, it is cut off on the other.
        answer.once('close', () => {
          if (!answer.complete) response.destroy()
          resolve()
        })
      })
      response.once('close', () => asked.destroy())
      request.pipe(asked)
    })
  }
}
