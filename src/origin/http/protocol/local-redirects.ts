/**
 * Local redirects: redirects to addresses that mean another machine to each client, namely loopback, link-local, and
 * the metadata services of clouds. A server that is elsewhere may not lead us there, be it by an address or by a name;
 * one that is there itself may.
 *
 * A name is judged by the addresses that its connection is made to: a later resolution is of no matter. Source: RFC
 * 1122 3.2.1.3 (0.0.0.0/8, 127.0.0.0/8), RFC 3927 (169.254.0.0/16), RFC 4291 2.5 (IPv6), RFC 6052 2.1 (64:ff9b::/96);
 * AWS EC2 user guide, Instance metadata (169.254.169.254, fd00:ec2::254).
 */
import type { LookupAddress } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { CacheError } from '../../../base/errors.ts'
import { hostOf } from './http-url.ts'

const local = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
] as const) {
  local.addSubnet(network, bits, 'ipv4')
  // Inside of IPv6: mapped ones it knows by itself; these are the compatible and the translated ones.
  for (const prefix of ['::', '64:ff9b::']) local.addSubnet(`${prefix}${network}`, 96 + bits, 'ipv6')
}
local.addSubnet('::', 127, 'ipv6')
local.addSubnet('fe80::', 10, 'ipv6')
local.addAddress('fd00:ec2::254', 'ipv6')

/** Is it an address of this machine, or of its link? @param address without brackets; with a zone or without */
export function isLocalAddress(address: string): boolean {
  const [plain] = address.split('%') as [string]
  return local.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')
}

export class LocalRedirects {
  readonly #home: URL
  readonly #lookup: LookupFunction
  #isHomeLocal: Promise<boolean> | null = null

  /**
   * @param home whose redirects these are: an origin as in URL.origin
   * @param lookup resolves names
   */
  constructor(home: string, lookup: LookupFunction) {
    this.#home = new URL(home)
    this.#lookup = lookup
  }

  /**
   * Of a place that is named by an address. @throws CacheError origin-protocol where we may not be led there; what a
   * lookup fails with
   */
  async mustBeAllowed(place: URL): Promise<void> {
    const host = hostOf(place)
    if (isIP(host) === 0 || !isLocalAddress(host) || place.origin === this.#home.origin) return
    if (!(await this.#homeIsLocal())) throw this.#refused(host)
  }

  /**
   * The resolver for the host of a connection.
   * @param origin of it, as in URL.origin; null: a proxy's, which is set here
   */
  lookupFor(origin: string | null): LookupFunction {
    if (origin === null || origin === this.#home.origin) return this.#lookup
    return (name, options, callback) =>
      this.#lookup(name, options, (error, found, family) => {
        const addresses = typeof found === 'string' ? [found] : (found ?? []).map(({ address }) => address)
        if (error || !addresses.some(isLocalAddress)) return callback(error, found, family)
        this.#homeIsLocal().then(
          isLocal => (isLocal ? callback(null, found, family) : callback(this.#refused(name), [])),
          error => callback(error, []),
        )
      })
  }

  /** Known once it is: a server that moves is not one that redirects. */
  #homeIsLocal(): Promise<boolean> {
    const host = hostOf(this.#home)
    if (isIP(host) !== 0) return Promise.resolve(isLocalAddress(host))
    this.#isHomeLocal ??= new Promise<boolean>((resolve, reject) => {
      this.#lookup(host, { all: true }, (error, found) => {
        const addresses = found as readonly LookupAddress[]
        if (error) reject(error)
        else resolve(addresses.length > 0 && addresses.every(({ address }) => isLocalAddress(address)))
      })
    }).catch(error => {
      this.#isHomeLocal = null
      throw error
    })
    return this.#isHomeLocal
  }

  #refused(host: string): CacheError {
    const why = 'an address of this machine or its link, which is not followed'
    return new CacheError('origin-protocol', `${this.#home.origin}: redirected to ${host}, ${why}`)
  }
}
