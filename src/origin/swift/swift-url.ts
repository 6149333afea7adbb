/**
 * URLs of Swift origins, `swift://container/prefix/`, and of objects in an account. Pure.
 *
 * The account is a part of the URL (`?auth=URL&project=NAME&region=NAME`, `?cloud=NAME`, or `?storage=URL`), because
 * containers of one name in two accounts are two places.
 */
import { CacheError } from '../../base/errors.ts'
import { withoutCredentials } from '../contract/url-credentials.ts'

/** The parts of the URL that say which account; null: the environment says it. */
export interface SwiftAccountPlace {
  readonly auth: string | null
  /** Name in OpenStack's clouds.yaml. */
  readonly cloud: string | null
  readonly project: string | null
  readonly region: string | null
  /** URL of the account itself. */
  readonly storage: string | null
}

export interface SwiftPlace extends SwiftAccountPlace {
  readonly container: string
  /** Empty, or ending in a slash; not encoded. */
  readonly prefix: string
}

const accountParts = ['auth', 'cloud', 'project', 'region', 'storage'] as const

export function isSwiftUrl(url: string): boolean {
  return /^swift:/i.test(url)
}

/** @throws CacheError invalid-argument */
export function swiftPlaceOf(url: string): SwiftPlace {
  const refuse = (why: string) =>
    new CacheError('invalid-argument', `${withoutCredentials(url.split('?')[0]!)}: ${why}`)
  const match = /^swift:\/\/([^/?#]*)\/?([^?#]*)(?:\?([^#]*))?$/i.exec(url)
  if (match === null) throw refuse('not a URL of a container: write swift://CONTAINER/PREFIX/')
  const [, encodedContainer = '', path = '', query = ''] = match
  const asked = new URLSearchParams(query)
  for (const name of asked.keys()) {
    if (!accountParts.includes(name as 'auth') || asked.getAll(name).length > 1) {
      throw refuse(`its query has ${name}: there is ${accountParts.join(', ')}, each once`)
    }
  }
  const container = decoded(encodedContainer)
  const prefix = decoded(path.replace(/([^/])$/, '$1/'))
  // Source: Swift API, "Constraints": a container's name has no slash and at most 256 bytes.
  if (!container || Buffer.byteLength(container) > 256 || container.includes('/') || container.includes('\0')) {
    throw refuse('has no name of a container: write swift://CONTAINER/PREFIX/')
  }
  if (prefix === null || prefix.includes('\0')) throw refuse('a "%" in a prefix is written %25')
  for (const name of ['auth', 'storage']) {
    if (asked.has(name)) mustBeWebUrl(asked.get(name)!, refuse)
  }
  const [auth, cloud, project, region, storage] = accountParts.map(name => asked.get(name) || null)
  return { container, prefix, auth: auth!, cloud: cloud!, project: project!, region: region!, storage: storage! }
}

/** The URL of a place, written in one way. */
export function swiftUrlOf(place: SwiftPlace): string {
  const query = accountParts.flatMap(name => (place[name] === null ? [] : `${name}=${encodeURIComponent(place[name])}`))
  const path = `${encodeURIComponent(place.container)}/${encodedName(place.prefix)}`
  return `swift://${path}${query.length === 0 ? '' : `?${query.join('&')}`}`
}

/**
 * The URL with the account of the settings in it.
 * @throws CacheError invalid-argument when the two name different ones
 */
export function swiftUrlWith(url: string, settings: Readonly<Record<string, unknown>>): string {
  const place = swiftPlaceOf(url)
  const said = {
    auth: settings.authUrl,
    cloud: settings.cloud,
    project: settings.project,
    region: settings.region,
    storage: settings.storageUrl,
  }
  const whole: Record<string, string | null> = {}
  for (const name of accountParts) {
    const text = typeof said[name] === 'string' ? said[name] : null
    if (text !== null && place[name] !== null && text !== place[name]) {
      throw new CacheError('invalid-argument', `${swiftUrlOf(place)}: has another ${name} than the settings: give one`)
    }
    whole[name] = text ?? place[name]
  }
  return swiftUrlOf(swiftPlaceOf(swiftUrlOf({ ...place, ...whole })))
}

/** The name of an object as part of a URL, its slashes as they are. */
export function encodedName(name: string): string {
  return name.split('/').map(encodeURIComponent).join('/')
}

/**
 * The URL of an object.
 * @param account URL of the account, without a slash at its end
 * @returns null for a name that no URL can have: a part of it is `.` or `..`, or half a character
 */
export function objectUrlOf(account: string, container: string, name: string): URL | null {
  if ([container, ...name.split('/')].some(part => part === '.' || part === '..')) return null
  try {
    return new URL(`${account}/${encodeURIComponent(container)}/${encodedName(name)}`)
  } catch {
    return null
  }
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

function mustBeWebUrl(text: string, refuse: (why: string) => CacheError): void {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol))
    throw refuse('its account is not a URL: write https://HOST:PORT/v3')
  if (url.username !== '' || url.password !== '') throw refuse('a URL has no credentials: write username and password')
}
