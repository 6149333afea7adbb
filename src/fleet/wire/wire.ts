/**
 * Wire format between hosts: paths, headers and statuses of the serving port, and the text of per-block checksums.
 *
 * HTTP/1.1 over TLS 1.3. Every path of an image is also a plain location for any HTTP client.
 */
import { createHash } from 'node:crypto'
import { KiB, MiB } from '../../base/limits.ts'

/** Version of the format, in the answer of {@link healthPath}. */
export const wireVersion = 1

/** Images by id: `/v1/image/<32 hex digits>`, and `/v1/image/<id>/sums?object=<n>`. */
export const imagePathPrefix = '/v1/image/'

/** Images by name: `/v1/images/<name>`, each segment percent-encoded; the prefix alone is the listing in JSON. */
export const namePathPrefix = '/v1/images/'

/** Boot profiles: `/v1/profile/<64 hex digits>`, see {@link hashOfName}. */
export const profilePathPrefix = '/v1/profile/'

export const healthPath = '/v1/health'

/** Request: the asker's rank in the order of the unit. A plain client has none. */
export const rankHeader = 'parentfs-rank'

/** Request: the id of the member that asks; none of a host that does not serve. */
export const memberHeader = 'parentfs-member'

/** Request: members that the question has passed; at {@link hopsMax} no further member is asked. */
export const hopHeader = 'parentfs-hop'

/**
 * Request: origin and key of the image, for a host that does not know its id yet; see {@link formatImageKey}. It looks
 * the key up, and answers 412 where that means another version.
 */
export const keyHeader = 'parentfs-key'

/** Request: `yes` has missing blocks brought (the default), `no` answers 404. */
export const fillHeader = 'parentfs-fill'

/**
 * Question with {@link fillHeader} `no`: `yes` asks for the units of the image that are here or on their way from the
 * origin. Answer 404: a bit for each in base64, bit k % 8 of byte k / 8 for unit k.
 */
export const unitsHeader = 'parentfs-units'

/** Longest answer with units, in bytes: images of 32 GiB at the usual block size. A head has 16 KiB. */
export const toldUnitsBytesMax = 4 * KiB

/** Answer: crc32c of each block of the range, eight hex digits each, separated by commas; see {@link formatSums}. */
export const sumsHeader = 'parentfs-sums'

/** Answer with 503: the number of ranks that may be asked in place of this one. */
export const replicasHeader = 'parentfs-replicas'

/** Answer to HEAD: bytes of the image that are here. */
export const residentHeader = 'parentfs-resident'

/** Answer to HEAD: `yes` or `no`. */
export const completeHeader = 'parentfs-complete'

/** Answer: the id of the image, for requests by name. */
export const imageIdHeader = 'parentfs-image'

/** Members that a question may pass before it goes to the origin. */
export const hopsMax = 3

/** Blocks are hashed to members in units of so many blocks: 1 MiB at 64 KiB. */
export const unitBlocks = 16

/** Longest body of a profile: that of a file beside an image. */
export const profileBodyBytesMax = 128 * KiB

/** Largest range of one request that has {@link sumsHeader}: one unit at the largest block. */
export const summedBytesMax = 16 * MiB

/** State of a member, the answer of {@link healthPath}. */
export interface MemberHealth {
  readonly version: number
  readonly blockBytes: number
  /** Requests that wait for bytes of an origin. */
  readonly waiting: number
  /** Bytes a second that are being sent. */
  readonly bytesPerSecond: number
  readonly state: 'up' | 'leaving'
}

/** The path of an image by its id. */
export function imagePath(imageId: string): string {
  return imagePathPrefix + imageId
}

/** The path of an image by its name as it is shown: slashes separate, all else is encoded. */
export function namePath(name: string): string {
  return namePathPrefix + name.split('/').map(encodeURIComponent).join('/')
}

/** The SHA-256 of the name of an image at its origin, for ranks of names and paths of profiles. */
export function hashOfName(origin: string, key: string): string {
  return createHash('sha256')
    .update(JSON.stringify([origin, key]))
    .digest('hex')
}

/** The strong entity tag of an image. */
export function entityTag(imageId: string): string {
  return `"${imageId}"`
}

/** Origin and key as {@link keyHeader} has them. */
export function formatImageKey(origin: string, key: string): string {
  return `${encodeURIComponent(origin)} ${encodeURIComponent(key)}`
}

/** @returns null for text that is no {@link keyHeader} */
export function parseImageKey(text: string): { readonly origin: string; readonly key: string } | null {
  try {
    const [origin, key, more] = text.split(' ').map(decodeURIComponent)
    return origin && key && more === undefined ? { origin, key } : null
  } catch {
    return null
  }
}

/**
 * The opener of reads for other hosts, by the members that the question has passed: they take turns with the processes
 * of this host, whose numbers are positive.
 */
export function openerOfHops(hops: number): number {
  return -1 - hops
}

/** The members that a question has passed; 0 for one of this host. */
export function hopsOfOpener(opener: number | undefined): number {
  return opener === undefined || opener >= 0 ? 0 : -1 - opener
}

/** Is it a read for another host? */
export function isForeignOpener(opener: number | undefined): boolean {
  return opener !== undefined && opener < 0
}

/** Checksums as {@link sumsHeader} has them. */
export function formatSums(sums: Iterable<number>): string {
  return [...sums].map(sum => (sum >>> 0).toString(16).padStart(8, '0')).join(',')
}

/**
 * The checksums of {@link sumsHeader}.
 * @returns null for text that is not exactly `count` checksums
 */
export function parseSums(text: string, count: number): number[] | null {
  if (text.length !== count * 9 - 1 || !/^[0-9a-f]{8}(,[0-9a-f]{8})*$/.test(text)) return null
  return text.split(',').map(sum => Number.parseInt(sum, 16))
}
