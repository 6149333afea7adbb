/**
 * Redirects remembered until shortly before they expire, so that a range goes to their target directly.
 *
 * A redirect expires by its Cache-Control or Expires, and with the signature of the URL that it leads to. A redirect
 * with neither is not remembered.
 * Source: RFC 9111 4.2.1 (freshness), 5.2.2 (no-store, no-cache); AWS "Authenticating Requests: Using Query Parameters"
 * (X-Amz-*; Expires of version 2); Google Cloud Storage "Signed URLs" (X-Goog-*); Azure "Create a service SAS" (se).
 */
import { LruMap } from '../../../base/lru-map.ts'
import { redirectKeptMsMax, redirectMarginMsMax, redirectsKeptMax } from './limits.ts'
import { type Headers, headerOf } from './response-headers.ts'

/**
 * Lifetime of the redirect `headers` to `place`, in milliseconds; 0: it is used once. The server's clock counts where
 * its answer has a date.
 * @param nowMs since 1970
 */
export function redirectMsOf(headers: Headers, place: URL, nowMs: number): number {
  const control = String(headers['cache-control'] ?? '').toLowerCase()
  if (/\bno-(store|cache)\b/.test(control)) return 0
  const server = Date.parse(headerOf(headers, 'date') ?? '')
  const now = Number.isFinite(server) ? server : nowMs
  const [, maxAge] = /\bmax-age="?(\d+)/.exec(control) ?? []
  const age = Number(headerOf(headers, 'age') ?? 0) || 0
  const fresh =
    maxAge === undefined ? Date.parse(headerOf(headers, 'expires') ?? '') - now : (Number(maxAge) - age) * 1000
  const ends = [fresh, ...expiriesOf(place.searchParams).map(ms => ms - now)].filter(Number.isFinite)
  if (ends.length === 0) return 0
  const ms = Math.min(...ends)
  return Math.max(0, Math.min(ms - Math.min(redirectMarginMsMax, ms / 4), redirectKeptMsMax))
}

/** Ends of the signatures in a query, in milliseconds since 1970; NaN: an end that cannot be understood. */
function expiriesOf(query: URLSearchParams): number[] {
  const values = new Map([...query].map(([name, value]) => [name.toLowerCase(), value]))
  const found: number[] = []
  for (const vendor of ['x-amz', 'x-goog']) {
    const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(values.get(`${vendor}-date`) ?? '')
    if (!parts) continue
    const [, year, month, day, hour, minute, second] = parts.map(Number)
    const signedMs = Date.UTC(year!, month! - 1, day, hour, minute, second)
    found.push(signedMs + Number(values.get(`${vendor}-expires`) || Number.NaN) * 1000)
  }
  const expires = values.get('expires') ?? ''
  if (/^\d{10}$/.test(expires)) found.push(Number(expires) * 1000)
  if (values.has('sig')) found.push(Date.parse(values.get('se') ?? ''))
  return found
}

export class RememberedRedirects {
  readonly #now: () => number
  readonly #places = new LruMap<string, { readonly place: URL; readonly untilMs: number }>(redirectsKeptMax)

  /** @param now milliseconds, never going back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get size(): number {
    return this.#places.size
  }

  /** The place that `url` leads to; null: the origin has to be asked. */
  placeOf(url: URL): URL | null {
    const known = this.#places.get(url.href)
    if (known === undefined) return null
    if (this.#now() < known.untilMs) return known.place
    this.forget(url)
    return null
  }

  /** The time for which it will be known, in milliseconds; 0: it is not. */
  leftMs(url: URL): number {
    return Math.max(0, (this.#places.get(url.href)?.untilMs ?? 0) - this.#now())
  }

  /** @param ms its lifetime; 0: it is not used again */
  remember(url: URL, place: URL, ms: number): void {
    if (ms > 0) this.#places.set(url.href, { place, untilMs: this.#now() + ms })
    else this.forget(url)
  }

  forget(url: URL): void {
    this.#places.delete(url.href)
  }
}
