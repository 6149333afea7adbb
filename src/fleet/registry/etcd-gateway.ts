/**
 * etcd gateway: requests to an etcd cluster over its JSON gateway, each with a time-out. A server that fails is left
 * for the next one of the list.
 *
 * Certificates are read again for each new connection, so that a renewed one is used without a restart. A refused token
 * is answered by another login. Source: etcd 3.4, Documentation/dev-guide/api_grpc_gateway.md and rpc.proto.
 */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Dispatcher, Pool } from 'undici'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { loadUndici } from '../../origin/http/http-client.ts'
import { hostOf } from '../../origin/http/protocol/http-url.ts'
import { registryAnswerBytesMax, registryRequestMsMax } from './limits.ts'

export interface EtcdPlace {
  /** `https://host:2379`, in the order in which they are tried. */
  readonly servers: readonly string[]
  /** Paths of PEM files; null: none. */
  readonly ca: string | null
  readonly certificate: string | null
  readonly key: string | null
  readonly user: string | null
  /** Reads the password, which may have changed. */
  readonly password: (() => Promise<string>) | null
  /** Time-out of one request; {@link registryRequestMsMax} unless told. */
  readonly requestMsMax?: number
}

export type EtcdAnswer = Readonly<Record<string, unknown>>

/** Errors of a login that is over. Source: etcd 3.4, etcdserver/api/v3rpc/rpctypes/error.go. */
const loginIsOver = /invalid auth token|revision in header is old|user name is empty/i

export class EtcdGateway {
  readonly #place: EtcdPlace
  readonly #requestMsMax: number
  readonly #stop = new LightAbortSignal()
  #at = 0
  #pool: Pool | null = null
  /** Those with streams that go on, too. */
  readonly #pools = new Set<Pool>()
  #token: string | null = null
  /** Counts the servers that were left. */
  #left = 0

  constructor(place: EtcdPlace) {
    this.#place = place
    this.#requestMsMax = place.requestMsMax ?? registryRequestMsMax
  }

  /** Changes when another server is asked: what follows the one of before is to begin anew. */
  get generation(): number {
    return this.#left
  }

  /** @throws CacheError origin-timeout, origin-failed, access-denied, closed */
  async call(path: string, body: object): Promise<EtcdAnswer> {
    const asked = this.#left
    try {
      return await this.#logIn(() => this.#post(path, body))
    } catch (error) {
      // An answer of etcd itself is none of the server's faults, but for one without a leader.
      const isDenied = error instanceof CacheError && error.code === 'access-denied'
      // Of several calls that one server failed, the first one leaves it: the next server is passed over by none.
      if (!isDenied && asked === this.#left) this.#leave()
      throw error
    }
  }

  /**
   * Follow a stream of results, each of which `take` gets. Resolves when the server ends it.
   * @throws CacheError likewise, and what `take` throws
   */
  async stream(path: string, body: object, take: (result: EtcdAnswer) => void, signal: CancelSignal): Promise<void> {
    const own = new LightAbortSignal(signal)
    try {
      const answer = await this.#logIn(() => this.#open(path, body, own))
      let text = ''
      for await (const chunk of answer.body) {
        text += (chunk as Buffer).toString('latin1') // Base64 in ASCII: no character is cut.
        if (text.length > registryAnswerBytesMax)
          throw failed(path, `sent over ${registryAnswerBytesMax} bytes at once`)
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
          take(resultOf(path, text.slice(0, end)))
          text = text.slice(end + 1)
        }
      }
    } finally {
      own.abort()
      own.end()
    }
  }

  /** Idempotent; what is under way breaks off. */
  async close(): Promise<void> {
    this.#stop.abort(new CacheError('closed', 'the registry has been closed'))
    this.#pool = null
    await Promise.all([...this.#pools].map(pool => pool.destroy()))
  }

  async #logIn<T>(work: () => Promise<T>): Promise<T> {
    const { user, password } = this.#place
    if (user === null || password === null) return await work()
    if (this.#token === null) await this.#authenticate(user, password)
    try {
      return await work()
    } catch (error) {
      if (!loginIsOver.test(messageOf(error))) throw error
      await this.#authenticate(user, password)
      return await work()
    }
  }

  async #authenticate(user: string, password: () => Promise<string>): Promise<void> {
    this.#token = null
    const { token } = await this.#post('/v3/auth/authenticate', { name: user, password: await password() })
    if (typeof token !== 'string') throw failed('/v3/auth/authenticate', 'gave no token')
    this.#token = token
  }

  async #post(path: string, body: object): Promise<EtcdAnswer> {
    const signal = new LightAbortSignal(this.#stop)
    const late = `etcd at ${this.#server}: no answer to ${path} in ${this.#requestMsMax} ms`
    const timer = setTimeout(() => signal.abort(new CacheError('origin-timeout', late)), this.#requestMsMax)
    try {
      const { body: answered } = await this.#open(path, body, signal)
      const chunks: Buffer[] = []
      let bytes = 0
      for await (const chunk of answered) {
        bytes += (chunk as Buffer).length
        if (bytes > registryAnswerBytesMax) throw failed(path, `sent over ${registryAnswerBytesMax} bytes`)
        chunks.push(chunk as Buffer)
      }
      return objectOf(path, Buffer.concat(chunks).toString('utf8'))
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw error instanceof CacheError ? error : failed(path, messageOf(error), error)
    } finally {
      clearTimeout(timer)
      signal.end()
    }
  }

  async #open(path: string, body: object, signal: CancelSignal): Promise<Dispatcher.ResponseData> {
    if (this.#stop.aborted) throw this.#stop.reason
    const pool = await this.#connected()
    const headers: Record<string, string> = { 'content-type': 'application/json' }
    if (this.#token !== null) headers.authorization = this.#token
    const answer = await pool.request({
      path,
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      // It needs no more of a signal than ours have. Source: undici 7.30, lib/core/util.js, addAbortListener.
      signal: signal as AbortSignal,
    })
    if (answer.statusCode === 200) return answer
    throw refusalOf(path, answer.statusCode, await shortTextOf(answer.body))
  }

  async #connected(): Promise<Pool> {
    if (this.#pool) return this.#pool
    const { ca, certificate, key } = this.#place
    const read = (path: string | null) => (path === null ? undefined : readFile(path, 'utf8'))
    const [authorities, own, ownKey] = await Promise.all([read(ca), read(certificate), read(key)])
    const host = hostOf(new URL(this.#server))
    const { Pool } = loadUndici()
    if (this.#pool) return this.#pool
    if (this.#stop.aborted) throw this.#stop.reason
    const pool = new Pool(this.#server, {
      connections: 4,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: {
        timeout: this.#requestMsMax,
        ...(isIP(host) ? {} : { servername: host }),
        ...(authorities === undefined ? {} : { ca: authorities }),
        ...(own === undefined ? {} : { cert: own }),
        ...(ownKey === undefined ? {} : { key: ownKey }),
      },
    })
    this.#pools.add(pool)
    this.#pool = pool
    return pool
  }

  get #server(): string {
    const { servers } = this.#place
    return servers[this.#at % servers.length]!
  }

  #leave(): void {
    this.#left++
    this.#at++
    this.#token = null // The other server may be of another start of the cluster.
    const pool = this.#pool
    this.#pool = null
    // A stream on it goes on.
    void pool?.close().then(
      () => this.#pools.delete(pool),
      () => this.#pools.delete(pool),
    )
  }
}

async function shortTextOf(body: Dispatcher.ResponseData['body']): Promise<string> {
  let text = ''
  for await (const chunk of body) {
    text += (chunk as Buffer).toString('utf8')
    if (text.length > 4096) break
  }
  return text.slice(0, 4096)
}

function refusalOf(path: string, status: number, text: string): CacheError {
  let said = text
  try {
    const { error, message } = JSON.parse(text) as { error?: unknown; message?: unknown }
    said = String(error ?? message ?? text)
  } catch {
    // Then it is what was sent.
  }
  const isDenied =
    status === 401 || status === 403 || /permission denied|authentication failed|invalid auth/i.test(said)
  return new CacheError(isDenied ? 'access-denied' : 'origin-failed', `etcd: ${path}: ${said.trim()} (${status})`)
}

function resultOf(path: string, line: string): EtcdAnswer {
  const { result, error } = objectOf(path, line)
  if (typeof result === 'object' && result !== null) return result as EtcdAnswer
  throw failed(path, `ended the stream: ${JSON.stringify(error ?? line.slice(0, 200))}`)
}

function objectOf(path: string, text: string): EtcdAnswer {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as EtcdAnswer
  } catch {
    // Said below.
  }
  throw failed(path, 'sent no JSON object')
}

function failed(path: string, why: string, cause?: unknown): CacheError {
  return new CacheError('origin-failed', `etcd: ${path}: ${why}`, { cause })
}
