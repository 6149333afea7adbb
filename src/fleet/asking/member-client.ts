/**
 * Member client: a MemberChannel over HTTP, with the group's authentication and a bound of requests at once.
 */
import { isIP } from 'node:net'
import type { Dispatcher, Pool } from 'undici'
import { abortable } from '../../async/abortable.ts'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { messageOf } from '../../base/errors.ts'
import { loadUndici } from '../../origin/http/http-client.ts'
import { hostOf } from '../../origin/http/protocol/http-url.ts'
import { InterimResponses } from '../../origin/http/protocol/interim-responses.ts'
import {
  entityTag,
  fillHeader,
  formatImageKey,
  hopHeader,
  imagePath,
  keyHeader,
  memberHeader,
  rankHeader,
  unitsHeader,
} from '../wire/wire.ts'
import { memberAnswerBytesMax, memberConnectMsMax, memberRequestsMax, memberStallMsMax } from './limits.ts'
import { ExchangeEnded, MemberAnswer, type MemberAnswerOptions } from './member-answer.ts'
import type { AskedRange, AskOptions, AskOutcome, MemberChannel, MemberMessage, SmallAnswer } from './member-channel.ts'

/** Our side of the group's authentication, as PEM; null: none. */
export interface MemberTrust {
  readonly ca: string | null
  readonly certificate: string | null
  readonly key: string | null
  /** Gives the bearer token, which may have changed. */
  readonly token: (() => Promise<string>) | null
}

export interface MemberClientOptions extends MemberAnswerOptions {
  readonly trust: MemberTrust
  /** Our id in the group; null: we do not serve. */
  readonly ownId: string | null
}

/** The time that an idle connection is kept: shorter than the serving port keeps it. */
const keepAliveMs = 20_000

export class MemberClient implements MemberChannel {
  readonly #options: MemberClientOptions
  #pool: Pool | null = null
  #isClosed = false
  #inFlight = 0

  constructor(options: MemberClientOptions) {
    this.#options = options
  }

  async ask(range: AskedRange, { signal, headMsMax }: AskOptions): Promise<AskOutcome> {
    if (this.#inFlight >= memberRequestsMax) return { kind: 'busy', replicas: 0 }
    this.#inFlight++
    const reception = new MemberAnswer(range, this.#options)
    const exchange = new LightAbortSignal(signal, () => new ExchangeEnded({ kind: 'aborted' }))
    const over = reception.watch(exchange, headMsMax)
    try {
      return await this.#exchange(range, reception, exchange)
    } catch (error) {
      if (exchange.aborted && exchange.reason instanceof ExchangeEnded) return exchange.reason.outcome
      return reception.brokenBy(messageOf(error))
    } finally {
      over()
      exchange.end()
      this.#inFlight--
    }
  }

  async request({ method, path, body, image, bytesMax }: MemberMessage, signal: CancelSignal): Promise<SmallAnswer> {
    const headers = image ? { [keyHeader]: formatImageKey(image.origin, image.key) } : {}
    const answer = await this.#send(method, path, headers, body, signal, new InterimResponses())
    let text = ''
    for await (const chunk of answer.body) {
      text += (chunk as Buffer).toString('utf8')
      if (text.length > bytesMax) throw new Error(`${this.#options.url}: sent over ${bytesMax} bytes`)
    }
    return { status: answer.statusCode, text, headers: answer.headers }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#pool?.destroy(new Error('the member is asked no more'))
  }

  async #exchange(range: AskedRange, reception: MemberAnswer, exchange: LightAbortSignal): Promise<AskOutcome> {
    const { image, offset, target, rank, hop, fill, asksUnits = false } = range
    const headers = {
      range: `bytes=${offset}-${offset + target.length - 1}`,
      'if-match': entityTag(image.id),
      [keyHeader]: formatImageKey(image.origin, image.key),
      ...(this.#options.ownId === null ? {} : { [memberHeader]: this.#options.ownId }),
      [rankHeader]: String(rank),
      [hopHeader]: String(hop),
      [fillHeader]: fill ? 'yes' : 'no',
      ...(asksUnits ? { [unitsHeader]: 'yes' } : {}),
    }
    const interim = new InterimResponses()
    const answer = await this.#send('GET', imagePath(image.id), headers, null, exchange, interim, () =>
      reception.isAlive(),
    )
    const refusal = reception.head(answer.statusCode, answer.headers)
    if (refusal) {
      drain(answer.body)
      return refusal
    }
    return await reception.body(answer.body, exchange)
  }

  async #send(
    method: MemberMessage['method'],
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string | null,
    signal: CancelSignal,
    interim: InterimResponses,
    onInterim = () => {},
  ): Promise<Dispatcher.ResponseData> {
    const { token } = this.#options.trust
    const bearer = token === null ? {} : { authorization: `Bearer ${await abortable(token(), signal)}` }
    const asked = this.#connected().request({
      method,
      path,
      headers: { ...headers, ...bearer },
      body,
      // It needs no more of a signal than ours have. Source: undici 7.30, lib/core/util.js, addAbortListener.
      signal: signal as AbortSignal,
      onInfo: ({ headers }) => {
        interim.add(JSON.stringify(headers).length)
        onInterim()
      },
    })
    // undici ends a request without a connection only with the try to connect, which a silent host makes long.
    return await abortable(asked, signal).catch(error => {
      void asked.then(({ body }) => drain(body)).catch(() => {})
      throw error
    })
  }

  #connected(): Pool {
    if (this.#isClosed) throw new Error('the member is asked no more')
    if (this.#pool) return this.#pool
    const { url, trust } = this.#options
    const { Pool } = loadUndici()
    const host = hostOf(new URL(url))
    this.#pool = new Pool(url, {
      connections: memberRequestsMax,
      pipelining: 1,
      keepAliveTimeout: keepAliveMs,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: {
        timeout: memberConnectMsMax,
        minVersion: 'TLSv1.3',
        ...(isIP(host) ? {} : { servername: host }),
        ...(trust.ca === null ? {} : { ca: trust.ca }),
        ...(trust.certificate === null ? {} : { cert: trust.certificate }),
        ...(trust.key === null ? {} : { key: trust.key }),
      },
    })
    return this.#pool
  }
}

/** A body that nobody wants: a short one that comes soon lets the connection live. */
function drain(body: Dispatcher.ResponseData['body']): void {
  body.on('error', () => {})
  void body.dump({ limit: memberAnswerBytesMax, signal: AbortSignal.timeout(memberStallMsMax) }).catch(() => {})
}
