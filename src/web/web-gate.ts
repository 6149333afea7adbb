/**
 * Gate before the page of a TCP port: names of this host alone, no other site's requests, a session for all that says
 * something of the mount, and actions where they are allowed.
 *
 * Sessions are bearer tokens and no cookies: no browser adds one by itself to a request of another site, and a program
 * on another port of the same address gets none. A name that an attacker has bound to our address fails at `Host`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { CacheError } from '../base/errors.ts'
import { webLoginFailuresMax, webLoginWindowMs, webPathCharsMax } from './limits.ts'
import type { Sessions } from './sessions.ts'
import { readJson, sendJson, sendProblem } from './web-exchange.ts'

/** Answers requests that may pass. @param path without a slash in front */
export type PageHandler = (path: string, request: IncomingMessage, response: ServerResponse) => Promise<void>

export interface WebGateOptions {
  readonly handler: PageHandler
  /** May this be the host in a URL of ours? Without its port. */
  isOurHost(name: string): boolean
  /** A secret of the operator, or a link. */
  login(token: string): boolean | Promise<boolean>
  sessions(): Sessions | Promise<Sessions>
  readonly allowsActions: boolean
  /** Milliseconds, never going back. */
  readonly now?: () => number
}

export class WebGate {
  readonly #options: WebGateOptions
  readonly #now: () => number
  #failures = 0
  #windowMs = Number.NEGATIVE_INFINITY
  #refused = 0

  constructor(options: WebGateOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Requests that were turned away. */
  get refused(): number {
    return this.#refused
  }

  /** Never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const path = this.#pathOf(request)
      if (path === 'api/session') return await this.#login(request, response)
      if (path.startsWith('api/') && !(await this.#hasSession(request))) {
        throw new Refusal(401, 'this page has no session: open a new link, or log in')
      }
      if (request.method !== 'GET') {
        if (!this.#options.allowsActions) throw new Refusal(403, 'this page may only look: actions are not allowed')
        mustBeJson(request)
      }
      await this.#options.handler(path, request, response)
    } catch (error) {
      this.#refused++
      if (!(error instanceof Refusal)) return sendProblem(response, error)
      const code = error.status === 400 ? 'invalid-argument' : 'access-denied'
      sendJson(response, error.status, { code, message: error.message })
    }
  }

  /** The path and query of a request from a page of ours. */
  #pathOf({ url = '', headers }: IncomingMessage): string {
    const host = headers.host ?? ''
    const name = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/i.exec(host)?.[1]?.toLowerCase() ?? ''
    if (!this.#options.isOurHost(name)) throw new Refusal(421, `${JSON.stringify(host)} is no name of this page`)
    const { origin } = headers
    if (origin !== undefined && hostOf(origin) !== host.toLowerCase()) {
      throw new Refusal(403, 'another site may not ask this page')
    }
    const site = headers['sec-fetch-site']
    // A link in another page may lead here: that is the page, and nothing of the mount.
    const isNavigation = headers['sec-fetch-mode'] === 'navigate' && !url.startsWith('/api/')
    if (site !== undefined && site !== 'same-origin' && site !== 'none' && !isNavigation) {
      throw new Refusal(403, 'another site may not ask this page')
    }
    if (!url.startsWith('/') || url.length > webPathCharsMax) throw new Refusal(400, 'that is no path of this page')
    return url.slice(1)
  }

  async #login(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') throw new Refusal(400, 'a login is a POST')
    mustBeJson(request)
    const { token } = (await readJson(request)) as { readonly token?: unknown }
    const nowMs = this.#now()
    if (nowMs - this.#windowMs >= webLoginWindowMs) {
      this.#windowMs = nowMs
      this.#failures = 0
    }
    if (this.#failures >= webLoginFailuresMax) throw new Refusal(429, 'too many logins have failed: wait a minute')
    if (typeof token !== 'string' || !(await this.#options.login(token))) {
      this.#failures++
      throw new Refusal(401, 'this link was used already or is too old, or the token is wrong')
    }
    const session = (await this.#options.sessions()).issue()
    sendJson(response, 200, { ...session, allowsActions: this.#options.allowsActions })
  }

  async #hasSession({ headers: { authorization = '' } }: IncomingMessage): Promise<boolean> {
    const token = /^Bearer ([\w.-]{1,128})$/.exec(authorization)?.[1]
    return token !== undefined && (await this.#options.sessions()).accepts(token)
  }
}

/** Turned away, with the status to say so. */
class Refusal extends CacheError {
  readonly status: number

  constructor(status: number, message: string) {
    super('access-denied', message)
    this.status = status
  }
}

function mustBeJson({ headers }: IncomingMessage): void {
  if (!/^application\/json(;|$)/.test(headers['content-type'] ?? '')) {
    throw new Refusal(400, 'the request has to be application/json')
  }
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host
  } catch {
    return null
  }
}
