/**
 * HTTP proxies: the proxy, if any, that leads to a server, by the environment or a setting. Pure.
 *
 * Source: curl's manual, ENVIRONMENT and --noproxy (names, suffixes, ports, networks, `*`); Go's documentation of
 * net/http, ProxyFromEnvironment (loopback is never proxied because of the environment).
 */
import { BlockList, isIP } from 'node:net'
import { CacheError } from '../../../base/errors.ts'
import { withoutCredentials } from '../../contract/url-credentials.ts'
import { authorizationOf, hostOf, isLoopback, portOf } from './http-url.ts'

/** Credentials for a proxy: the header Authorization, sent as Proxy-Authorization. */
export interface ProxyCredentials {
  headers(): Promise<Readonly<Record<string, string>>>
  /** The time for which they are good without being asked for again, in milliseconds. */
  readonly freshMs: number
  /** The proxy refused them. @returns whether there are others by now */
  renew(sent: Readonly<Record<string, string>>): Promise<boolean>
}

export interface HttpProxy {
  /** Without credentials, path, query and fragment. */
  readonly url: URL
  readonly credentials: ProxyCredentials | null
}

/** The proxy for a URL; null: none, its server is connected to. */
export type ProxyChoice = (url: URL) => HttpProxy | null

export const noProxy: ProxyChoice = () => null

/**
 * @param url `http(s)://[user:password@]host[:port]`; http:// where it has no scheme
 * @param credentials in place of those of the URL
 * @throws CacheError invalid-argument when no such proxy is known
 */
export function proxyAt(url: string, credentials: ProxyCredentials | null = null): HttpProxy {
  const text = url.includes('://') ? url : `http://${url}`
  const parsed = URL.canParse(text) ? new URL(text) : null
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new CacheError('invalid-argument', `${withoutCredentials(text)}: not a proxy: write http://host:port`)
  }
  const authorization = authorizationOf(parsed)
  const own =
    authorization === null
      ? null
      : { headers: async () => ({ authorization }), freshMs: Number.POSITIVE_INFINITY, renew: async () => false }
  return { url: new URL(parsed.origin), credentials: credentials ?? own }
}

/**
 * Proxies of `http_proxy`, `https_proxy` and `no_proxy`; names in small letters count first. Throws as {@link proxyAt}.
 */
export function proxiesIn(environment: Readonly<Record<string, string | undefined>>): ProxyChoice {
  const valueIn = (name: string) => environment[name] || environment[name.toUpperCase()] || ''
  const excepted = exceptions(valueIn('no_proxy'))
  return url => {
    const named = valueIn(url.protocol === 'https:' ? 'https_proxy' : 'http_proxy')
    return named === '' || isLoopback(hostOf(url)) || excepted(url) ? null : proxyAt(named)
  }
}

/** Judges URLs by a list as in `no_proxy`: true for a URL that is to have no proxy. */
export function exceptions(list: string): (url: URL) => boolean {
  const rules = list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(entry => entry !== '')
    .map(ruleOf)
  return url => rules.some(rule => rule(url))
}

function ruleOf(entry: string): (url: URL) => boolean {
  if (entry === '*') return () => true
  const [network, bits] = entry.split('/') as [string, string | undefined]
  const family = isIP(network)
  if (bits !== undefined) {
    const isNetwork = family !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32)
    if (!isNetwork) return () => false
    const block = new BlockList()
    block.addSubnet(network, Number(bits), family === 6 ? 'ipv6' : 'ipv4')
    return url => isIP(hostOf(url)) !== 0 && block.check(hostOf(url), isIP(hostOf(url)) === 6 ? 'ipv6' : 'ipv4')
  }
  const parts = /^\[?(.*?)\]?(?::(\d+))?$/.exec(entry)
  const host = family === 6 ? entry : parts![1]!
  const port = family === 6 ? undefined : parts![2]
  // An address as URLs write it; of names `example.com`, `.example.com` and `*.example.com` mean the same.
  const name = isIP(host) === 6 ? hostOf(new URL(`http://[${host}]`)) : host.replace(/^\*?\./, '').replace(/\.$/, '')
  return url => {
    if (port !== undefined && port !== portOf(url)) return false
    const asked = hostOf(url).replace(/\.$/, '')
    return asked === name || (isIP(asked) === 0 && asked.endsWith(`.${name}`))
  }
}
