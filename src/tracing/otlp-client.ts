/**
 * OTLP client: one request to a collector over HTTP, within a time of its own. Redirects are not followed, and no
 * message has a header or a query.
 *
 * Source: OTLP specification 1.9, "OTLP/HTTP": POST to /v1/traces below the base URL; 429, 502, 503 and 504 may be
 * tried again, after Retry-After where it is said.
 */
import { isIP } from 'node:net'
import type { Dispatcher, Pool } from 'undici'
import { abortable } from '../async/abortable.ts'
import { LightAbortSignal } from '../async/light-abort-signal.ts'
import { CacheError, messageOf } from '../base/errors.ts'
import { authoritiesOf } from '../origin/http/connections/tls-trust.ts'
import { loadUndici } from '../origin/http/http-client.ts'
import { hostOf } from '../origin/http/protocol/http-url.ts'
import type { Credentials } from '../origin/http/request-credentials.ts'
import { collectorAnswerBytesMax } from './limits.ts'
import { type PartialSuccess, partialSuccessIn } from './otlp-json.ts'

export interface CollectorPlace {
  /** See {@link tracesUrlOf}. */
  readonly url: URL
  /** Trusted besides the usual ones, as PEM. */
  readonly ca: string | null
  /** Headers that are sent, some of them secret. */
  readonly credentials: Pick<Credentials, 'headers' | 'renew'>
  readonly requestMsMax: number
}

/** A failure that may pass; others do not. */
export interface DeliveryFailure {
  readonly reason: string
  readonly mayPass: boolean
  /** The pause that the collector asks for. */
  readonly retryMs: number
}

export type Delivery = PartialSuccess | DeliveryFailure

/** Statuses that may pass. */
const passing: ReadonlySet<number> = new Set([429, 502, 503, 504])

export class OtlpClient {
  readonly #place: CollectorPlace
  readonly #pool: Pool
  readonly #stop = new LightAbortSignal()
  #closing: Promise<void> | undefined

  constructor(place: CollectorPlace) {
    this.#place = place
    const { ca, url, requestMsMax } = place
    const host = hostOf(url)
    const { Pool } = loadUndici()
    this.#pool = new Pool(url.origin, {
      connections: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: requestMsMax, ca: authoritiesOf(ca), ...(isIP(host) ? {} : { servername: host }) },
    })
  }

  /** Send a body. Never rejects. @param withinMs another time-out than the place has */
  async send(body: string, withinMs: number = this.#place.requestMsMax): Promise<Delivery> {
    const signal = new LightAbortSignal(this.#stop)
    const late = new CacheError('origin-timeout', `no answer in ${withinMs} ms`)
    const timer = setTimeout(() => signal.abort(late), withinMs)
    try {
      return await this.#authorized(body, signal)
    } catch (error) {
      return { reason: messageOf(signal.aborted ? signal.reason : error), mayPass: true, retryMs: 0 }
    } finally {
      clearTimeout(timer)
      signal.end()
    }
  }

  /** Idempotent; a request under way breaks off. */
  close(): Promise<void> {
    this.#stop.abort(new CacheError('closed', 'tracing has ended'))
    return (this.#closing ??= this.#pool.destroy())
  }

  async #authorized(body: string, signal: LightAbortSignal): Promise<Delivery> {
    const { credentials } = this.#place
    // A program that gives a secret may hang.
    const headers = await abortable(credentials.headers(), signal)
    const answered = await this.#post(body, headers, signal)
    if (!('status' in answered)) return answered
    // A secret that was replaced meanwhile.
    const isRefused = answered.status === 401 || answered.status === 403
    if (!isRefused || !(await abortable(credentials.renew(headers), signal))) return answered
    return await this.#post(body, await abortable(credentials.headers(), signal), signal)
  }

  async #post(
    body: string,
    headers: Readonly<Record<string, string>>,
    signal: LightAbortSignal,
  ): Promise<PartialSuccess | (DeliveryFailure & { readonly status: number })> {
    const { pathname, search } = this.#place.url
    const answer = await this.#pool.request({
      path: pathname + search,
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body,
      // It needs no more of a signal than ours have. Source: undici 7.30, lib/core/util.js, addAbortListener.
      signal: signal as unknown as AbortSignal,
    })
    const text = await textOf(answer.body)
    const { statusCode: status } = answer
    if (status >= 200 && status < 300) return partialSuccessIn(text)
    const seconds = Number(answer.headers['retry-after'] ?? 0)
    const retryMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0
    return { status, reason: `it answered ${status}`, mayPass: passing.has(status), retryMs }
  }
}

/** The URL for traces of a base URL. Source: OpenTelemetry specification 1.40, protocol/exporter.md. */
export function tracesUrlOf(base: string): URL {
  const url = new URL(base)
  if (!url.pathname.endsWith('/v1/traces')) url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/traces`
  return url
}

/** The begin of an answer; one that is longer is left there. */
async function textOf(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    chunks.push(chunk as Buffer)
    bytes += (chunk as Buffer).length
    if (bytes > collectorAnswerBytesMax) break
  }
  return Buffer.concat(chunks).toString('utf8')
}
