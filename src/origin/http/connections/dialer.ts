/**
 * Connections to web servers: straight, on a Unix socket, or through a proxy. Ranges and the requests of undici go the
 * same ways, and trust the same authorities.
 *
 * Node tries the addresses of a name one after the other, 250 ms apart. The address that answered last is tried first
 * from then on: a dead one delays one connection. Source: Node's documentation of net.connect, autoSelectFamily.
 */
import { connect as connectPlain, isIP, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import type { buildConnector } from 'undici'
import { CacheError } from '../../../base/errors.ts'
import { LruMap } from '../../../base/lru-map.ts'
import { hostOf, portOf } from '../protocol/http-url.ts'
import type { HttpProxy, ProxyChoice } from '../protocol/proxy-rules.ts'
import { connectWithin } from './connect-timeout.ts'
import { authoritiesOf } from './tls-trust.ts'
import { openTunnel } from './tunnel.ts'

export interface DialerOptions {
  /** The origin's own host, as in URL.origin. */
  readonly home: string
  /** Path of its socket, in place of its address; null: none. */
  readonly unixSocket: string | null
  /** Time-out of a connection, the proxy's answer included. */
  readonly connectMsMax: number
  /** Trusted besides the usual ones, as PEM. */
  readonly ca: string | null
  readonly proxyFor: ProxyChoice
  /** Resolves the name of a host. @param origin as in URL.origin; null: of a proxy */
  lookupFor(origin: string | null): LookupFunction
}

/** A connection on its way. */
export interface Dialing {
  readonly socket: Socket
  /** Resolves when bytes written to `socket` go to the server, or to a proxy that is asked for absolute URLs. */
  readonly connected: Promise<void>
}

/** Hosts remembered at once: more than an origin has. */
const hostsMax = 256

export class Dialer {
  readonly #options: DialerOptions
  /** By URL.origin. */
  readonly #proxies = new LruMap<string, HttpProxy | null>(hostsMax)
  /** The address of a name that answered last. */
  readonly #answered = new LruMap<string, string>(hostsMax)
  /** Made for the first connection in TLS. */
  #context: SecureContext | null = null

  constructor(options: DialerOptions) {
    this.#options = options
  }

  /** The proxy that leads to a host; null: none. @param origin as in URL.origin. @throws CacheError invalid-argument */
  proxyFor(origin: string): HttpProxy | null {
    if (this.#isSocket(origin)) return null
    const known = this.#proxies.get(origin)
    if (known !== undefined) return known
    const proxy = this.#options.proxyFor(new URL(origin))
    this.#proxies.set(origin, proxy)
    return proxy
  }

  /** Connect to the server of `url`, or to the proxy that leads to it: without TLS with the server. */
  dial(url: URL): Dialing {
    const { connectMsMax, lookupFor, unixSocket } = this.#options
    const proxy = this.proxyFor(url.origin)
    const place = proxy?.url ?? url
    const host = hostOf(place)
    const lookup = this.#preferring(lookupFor(proxy ? null : url.origin))
    const where = { host, port: Number(portOf(place)), noDelay: true, lookup }
    const isTls = proxy?.url.protocol === 'https:'
    const socket = isTls
      ? connectTls({ ...where, ...this.#trust, servername: isIP(host) ? '' : host, ALPNProtocols: ['http/1.1'] })
      : connectPlain(this.#isSocket(url.origin) ? { path: unixSocket! } : where)
    socket.on('error', () => {}) // Told by `connected`, and by 'close' afterwards.
    const prepare = proxy && url.protocol === 'https:' ? () => openTunnel(socket, url, proxy) : undefined
    const connected = connectWithin(socket, isTls ? 'secureConnect' : 'connect', connectMsMax, url, prepare)
    const note = () => this.#note(host, socket)
    if (proxy === null) return { socket, connected: connected.then(note) }
    const fail = (error: unknown): never => {
      throw namingProxy(error, proxy)
    }
    return { socket, connected: connected.then(note, fail) }
  }

  /** Connector for undici, TLS with the server included. @param origin as in URL.origin */
  connectorFor(origin: string, undici: typeof import('undici')): buildConnector.connector {
    const { connectMsMax, lookupFor, unixSocket } = this.#options
    const url = new URL(origin)
    const build = undici.buildConnector({
      timeout: connectMsMax,
      lookup: this.#preferring(lookupFor(origin)),
      ...(url.protocol === 'https:' ? this.#trust : {}),
      ...(this.#isSocket(origin) ? { socketPath: unixSocket } : {}),
    })
    if (this.proxyFor(origin) === null) {
      return (options, callback) =>
        build(options, (...result) => {
          if (result[1]) this.#note(hostOf(url), result[1])
          callback(...result)
        })
    }
    return (options, callback) => {
      const { socket, connected } = this.dial(url)
      const next = () =>
        url.protocol === 'https:' ? build({ ...options, httpSocket: socket }, callback) : callback(null, socket)
      connected.then(next, error => callback(error, null))
    }
  }

  /** One context for all connections: reading Node's 144 authorities takes 22 ms of the main thread. */
  get #trust(): { readonly secureContext?: SecureContext } {
    const ca = authoritiesOf(this.#options.ca)
    if (ca === undefined) return {}
    this.#context ??= createSecureContext({ ca })
    return { secureContext: this.#context }
  }

  #isSocket(origin: string): boolean {
    return this.#options.unixSocket !== null && origin === this.#options.home
  }

  #note(name: string, { remoteAddress }: Socket): void {
    if (remoteAddress !== undefined && isIP(name) === 0) this.#answered.set(name, remoteAddress)
  }

  #preferring(lookup: LookupFunction): LookupFunction {
    return (name, options, callback) =>
      lookup(name, options, (error, found, family) => {
        const best = this.#answered.get(name)
        if (error || typeof found === 'string' || best === undefined) return callback(error, found, family)
        const isBest = (address: string) => Number(address === best)
        callback(
          null,
          [...found].sort((a, b) => isBest(b.address) - isBest(a.address)),
          family,
        )
      })
  }
}

/** The failure of a connection to a proxy, which is not the server's: it keeps its code. */
function namingProxy(error: unknown, { url }: HttpProxy): unknown {
  if (!(error instanceof Error) || error.message.startsWith('proxy ')) return error
  const message = `proxy ${url.origin}: ${error.message}`
  if (error instanceof CacheError) return new CacheError(error.code, message, { cause: error })
  return Object.assign(new Error(message, { cause: error }), { code: (error as NodeJS.ErrnoException).code })
}
