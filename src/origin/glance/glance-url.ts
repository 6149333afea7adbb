/**
 * URLs of image services: `glance://host[:port]/[path/]`, or `glance:///` for the service in Keystone's catalog. Pure.
 */
import { CacheError } from '../../base/errors.ts'
import { withoutCredentials } from '../contract/url-credentials.ts'
import { isLoopback } from '../http/protocol/http-url.ts'

export interface GlancePlace {
  /** Host and port in small letters; empty: as the catalog says. */
  readonly host: string
  /** Ends in a slash. */
  readonly path: string
}

export function isGlanceUrl(url: string): boolean {
  return /^glance:/i.test(url)
}

/** @throws CacheError invalid-argument */
export function glancePlaceOf(url: string): GlancePlace {
  const [, host, path = '/'] = /^glance:\/\/([^/?#@]*)(\/[^?#]*)?$/i.exec(url) ?? []
  const home = host === undefined ? null : `https://${host || 'catalog'}${path}`
  if (host === undefined || home === null || !URL.canParse(home) || (host === '' && path !== '/')) {
    const advice = 'write it like glance://host:9292/, or glance:/// for the image service of the catalog'
    throw new CacheError('invalid-argument', `${withoutCredentials(url)}: ${advice}`)
  }
  const { pathname } = new URL(home)
  return { host: host === '' ? '' : new URL(home).host, path: pathname.endsWith('/') ? pathname : `${pathname}/` }
}

/** The one way to write it. */
export function glanceUrlOf({ host, path }: GlancePlace): string {
  return `glance://${host}${path}`
}

/**
 * The base of the service's own API; null: the catalog has it. Plain HTTP on loopback, or where that is asked for.
 * @param isInsecure null: as the host says
 */
export function glanceApiOf({ host, path }: GlancePlace, isInsecure: boolean | null): URL | null {
  if (host === '') return null
  const base = new URL(`https://${host}${path}`)
  if (isInsecure ?? isLoopback(base.hostname)) base.protocol = 'http:'
  return base
}
