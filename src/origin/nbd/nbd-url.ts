/**
 * URLs of NBD servers and exports, and the one way to write each. Pure.
 *
 * `nbd://host[:port]/[export]`, `nbd+unix:///[export]?socket=PATH`, and both with `nbds` for TLS. Without an export all
 * exports are meant. Source: NBD URIs, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md;
 * `tls-certificates` and `tls-psk-file` as nbd_connect_uri(3) of libnbd has them.
 */
import { CacheError } from '../../base/errors.ts'
import { nameBytesMax } from '../../base/limits.ts'
import { withoutCredentials } from '../contract/url-credentials.ts'
import { nbdPortDefault, nbdSocketPathBytesMax } from './limits.ts'
import type { NbdAddress } from './nbd-socket.ts'
import type { NbdTls } from './tls-options.ts'

/** The place of exports. */
export interface NbdPlace {
  readonly isTls: boolean
  readonly address: NbdAddress
  /** The one export; null: all of the server. */
  readonly exportName: string | null
}

/** The parts of a URL that say how its server is trusted; they are no part of the identity of images. */
export type NbdTlsWords = Partial<Omit<NbdTls, 'pskKey'>>

/** A URL, taken apart. */
export interface NbdUrlParts {
  readonly place: NbdPlace
  readonly tls: NbdTlsWords
}

type Wrong = (advice: string) => CacheError

/** Is it a URL of ours? */
export function isNbdUrl(url: string): boolean {
  return /^nbds?(\+unix)?:/i.test(url)
}

/**
 * Parses a URL.
 * @throws CacheError invalid-argument
 */
export function partsOfNbdUrl(url: string): NbdUrlParts {
  const shown = withoutCredentials(url).replace(/[?#].*$/s, '')
  const wrong = (advice: string) => new CacheError('invalid-argument', `${shown}: ${advice}`)
  if (!isNbdUrl(url) || !URL.canParse(url)) throw wrong('write it like nbd://host/ or nbd+unix:///?socket=/path')
  const parsed = new URL(url)
  const isUnix = parsed.protocol.endsWith('+unix:')
  const isTls = parsed.protocol.startsWith('nbds')
  if (parsed.password !== '') throw wrong('a password has no place in it')
  if (parsed.hash !== '') throw wrong('it has no fragment')
  const address = isUnix ? socketOf(parsed, wrong) : hostOf(parsed, wrong)
  const tls = tlsWordsOf(parsed, isUnix, wrong)
  if (!isTls && Object.keys(tls).length > 0)
    throw wrong('user names and tls- parameters go with nbds:// and nbds+unix://')
  const exportName = decoded(parsed.pathname.replace(/^\//, ''), wrong)
  if (exportName.includes('\0') || Buffer.byteLength(exportName) > nameBytesMax)
    throw wrong(`the name of an export has ${nameBytesMax} bytes at most, and no NUL`)
  return { place: { isTls, address, exportName: exportName === '' ? null : exportName }, tls }
}

/** The one way to write it. */
export function nbdUrlOf({ isTls, address, exportName }: NbdPlace): string {
  const scheme = isTls ? 'nbds' : 'nbd'
  const path = encodedPath(exportName ?? '')
  if ('path' in address) return `${scheme}+unix:///${path}?socket=${encodedPath(address.path)}`
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${scheme}://${host}${address.port === nbdPortDefault ? '' : `:${address.port}`}/${path}`
}

function hostOf(url: URL, wrong: Wrong): NbdAddress {
  const host = decoded(url.hostname, wrong)
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
  if (!/^[\w.:%-]+$/.test(host)) throw wrong('it names no host: write it like nbd://host/')
  const port = url.port === '' ? nbdPortDefault : Number(url.port)
  if (port === 0) throw wrong('there is no port 0')
  return { host, port }
}

function socketOf(url: URL, wrong: Wrong): NbdAddress {
  const path = url.searchParams.get('socket') ?? ''
  if (url.hostname !== '') throw wrong('a Unix socket has no host: write it like nbd+unix:///?socket=/path')
  if (!/^\/[^\0]*$/.test(path)) throw wrong('it needs the absolute path of a socket: ?socket=/path')
  if (Buffer.byteLength(path) > nbdSocketPathBytesMax)
    throw wrong(`the path of a socket has ${nbdSocketPathBytesMax} bytes at most`)
  return { path }
}

function tlsWordsOf(url: URL, isUnix: boolean, wrong: Wrong): NbdTlsWords {
  const words: { -readonly [name in keyof NbdTlsWords]: NbdTlsWords[name] } = {}
  if (url.username !== '') words.username = decoded(url.username, wrong)
  for (const [name, value] of url.searchParams) {
    if (name === 'socket' && isUnix) continue
    if (name === 'tls-certificates') words.certificates = pathIn(name, value, wrong)
    else if (name === 'tls-psk-file') words.pskFile = pathIn(name, value, wrong)
    else if (name === 'tls-hostname') words.hostname = value
    else if (name === 'tls-verify-peer') words.verifyPeer = yesOrNo(name, value, wrong)
    else throw wrong(`${JSON.stringify(name)} is no parameter of it`)
  }
  return words
}

function pathIn(name: string, value: string, wrong: Wrong): string {
  if (/^\/[^\0]*$/.test(value)) return value
  throw wrong(`${name} is an absolute path`)
}

function yesOrNo(name: string, value: string, wrong: Wrong): boolean {
  if (value === '1' || value === 'true') return true
  if (value === '0' || value === 'false') return false
  throw wrong(`${name} is 0 or 1`)
}

function decoded(text: string, wrong: Wrong): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong('a part of it is not percent-encoded UTF-8')
  }
}

/** Slashes stay readable. */
function encodedPath(text: string): string {
  return text.split('/').map(encodeURIComponent).join('/')
}
