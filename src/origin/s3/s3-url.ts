/**
 * URLs of S3 origins, `s3://bucket/prefix/`, and the encoding of keys. Pure.
 *
 * The endpoint is a part of the URL (`?endpoint=https://host:port`), because buckets of one name at two endpoints are
 * two places.
 */
import { CacheError } from '../../base/errors.ts'
import { withoutCredentials } from '../contract/url-credentials.ts'

export interface S3Place {
  readonly bucket: string
  /** Empty, or ending in a slash; not encoded. */
  readonly prefix: string
  /** Base URL of the service, its path ending in a slash; null: that of AWS, or of the environment. */
  readonly endpoint: URL | null
}

export function isS3Url(url: string): boolean {
  return /^s3:/i.test(url)
}

/** @throws CacheError invalid-argument */
export function s3PlaceOf(url: string): S3Place {
  const refuse = (why: string) => new CacheError('invalid-argument', `${withoutCredentials(url)}: ${why}`)
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed?.protocol !== 's3:') throw refuse('not a URL of a bucket: write s3://BUCKET/PREFIX/')
  const { hostname: bucket, pathname, search, hash } = parsed
  // Letters and underscores are of buckets from before 2018, and of other servers.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket) || parsed.port !== '') {
    throw refuse('has no name of a bucket: write s3://BUCKET/PREFIX/')
  }
  const endpoint = parsed.searchParams.get('endpoint')
  if (hash !== '' || (search !== '' && (endpoint === null || parsed.searchParams.size > 1))) {
    throw refuse('an S3 origin has no fragment, and no query but ?endpoint=')
  }
  try {
    const prefix = decodeURIComponent(pathname.replace(/^\//, '').replace(/([^/])$/, '$1/'))
    return { bucket, prefix, endpoint: endpoint === null ? null : endpointOf(endpoint) }
  } catch (error) {
    if (error instanceof CacheError) throw error
    throw refuse('a "%" in a prefix is written %25')
  }
}

/** @throws CacheError invalid-argument */
export function endpointOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  const isPlain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (!isPlain || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new CacheError('invalid-argument', `${withoutCredentials(text)}: not an endpoint: write https://HOST:PORT`)
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

/** The URL of a place, written in one way. */
export function s3UrlOf({ bucket, prefix, endpoint }: S3Place): string {
  const query = endpoint === null ? '' : `?endpoint=${endpoint.href.replace(/\/$/, '')}`
  return `s3://${bucket}/${encodedPath(prefix)}${query}`
}

/**
 * The URL with the endpoint of the settings in it.
 * @throws CacheError invalid-argument when the two name different ones
 */
export function s3UrlWith(url: string, { endpoint }: { readonly endpoint?: unknown }): string {
  const place = s3PlaceOf(url)
  if (typeof endpoint !== 'string') return s3UrlOf(place)
  const said = endpointOf(endpoint)
  if (place.endpoint !== null && place.endpoint.href !== said.href) {
    throw new CacheError('invalid-argument', `${s3UrlOf(place)}: has another endpoint than ${endpoint}: give one`)
  }
  return s3UrlOf({ ...place, endpoint: said })
}

/** A key as the path of a request, and of what is signed: every byte but those of slashes and unreserved characters. */
export function encodedPath(key: string): string {
  return key.split('/').map(encodedPart).join('/')
}

/** One name or value. Source: AWS, "Create a signed AWS API request": UriEncode; RFC 3986 2.3. */
export function encodedPart(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, letter => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
}
