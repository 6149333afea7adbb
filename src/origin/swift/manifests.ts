/**
 * Manifests of large objects: the segments that a static one lists, and those that a dynamic one finds by a prefix.
 *
 * Source: Swift documentation, "Large Object Support"; tried with Swift 2.30, and with radosgw 16.2, which answers a
 * question for the manifest of a static one with nothing.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { HttpClient } from '../http/http-client.ts'
import { receiveText } from '../http/protocol/http-body.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import { listedObjects } from './container-listing.ts'
import { manifestDepthMax, segmentsMax, staticManifestBytesMax } from './limits.ts'
import type { Segment } from './segments.ts'
import { objectUrlOf } from './swift-url.ts'

/** An account, as requests see it. */
export interface ManifestSource {
  readonly client: HttpClient
  /** URL of the account, without a slash at its end. */
  readonly account: string
  /** The object, for messages. */
  readonly subject: string
  readonly signal: CancelSignal
}

/**
 * The segments of the static large object at `url`, those of manifests within it included.
 * @throws CacheError not-found, image-changed, origin-unsupported, origin-*
 */
export async function staticSegments(source: ManifestSource, url: URL, depth = 1): Promise<Segment[]> {
  const unsupported = (why: string) => new CacheError('origin-unsupported', `${source.subject}: ${why}`)
  if (depth > manifestDepthMax) throw unsupported(`has manifests within manifests, more than ${manifestDepthMax}`)
  const manifestUrl = new URL(url)
  manifestUrl.search = 'multipart-manifest=get'
  const headers = { 'x-newest': 'true' }
  const entries = await source.client.exchange(
    { method: 'GET', url: manifestUrl, headers },
    source.signal,
    async (answer, watch) => {
      if (answer.status !== 200) throw failureOf(answer, depth === 1 ? 'lookup' : 'read')
      return parsedManifest(await receiveText(answer, staticManifestBytesMax, watch), source.subject)
    },
  )
  const segments: Segment[] = []
  for (const entry of entries) {
    if ('data' in entry) throw unsupported('has bytes within its manifest, which are not read')
    const { segment, isManifest } = segmentOf(entry, source.subject)
    const whole = isManifest ? await staticSegments(source, urlOf(source, segment), depth + 1) : [segment]
    segments.push(...(isManifest ? stretchOf(whole, segment, source.subject) : whole))
    if (segments.length > segmentsMax) throw unsupported(`has more than ${segmentsMax} segments`)
  }
  return segments
}

/**
 * The segments of a dynamic large object.
 * @param manifest the header: `container/prefix`, encoded
 * @throws CacheError origin-unsupported, origin-*
 */
export async function dynamicSegments(source: ManifestSource, manifest: string): Promise<Segment[]> {
  const unsupported = (why: string) => new CacheError('origin-unsupported', `${source.subject}: ${why}`)
  const [container, prefix] = placeIn(manifest)
  if (!container || prefix === undefined) throw unsupported('names no segments (X-Object-Manifest)')
  const segments: Segment[] = []
  const url = new URL(`${source.account}/${encodeURIComponent(container)}`)
  for await (const page of listedObjects(source.client, url, prefix, source.signal)) {
    for (const { name, hash, bytes, isLarge } of page) {
      if (isLarge) throw unsupported(`has a large object as its segment ${JSON.stringify(name)}`)
      segments.push({ container, name, etag: hash, objectBytes: bytes, first: 0, length: bytes })
    }
    if (segments.length > segmentsMax) throw unsupported(`has more than ${segmentsMax} segments`)
  }
  return segments
}

/** The URL of a segment. @throws CacheError origin-unsupported */
export function urlOf({ account, subject }: ManifestSource, { container, name }: Segment): URL {
  const url = objectUrlOf(account, container, name)
  if (url !== null) return url
  throw new CacheError('origin-unsupported', `${subject}: no URL can have its segment ${JSON.stringify(name)}`)
}

type Entry = Readonly<Record<string, unknown>>

function parsedManifest(text: string | null, subject: string): readonly Entry[] {
  // radosgw 16.2: without its segments, a range of it could be of any version.
  if (text === '') {
    const why = 'the server does not tell the segments of static large objects; make it a dynamic one, or a plain one'
    throw new CacheError('origin-unsupported', `${subject}: ${why}`)
  }
  try {
    if (text === null) throw new Error(`it is longer than ${staticManifestBytesMax} bytes`)
    const parsed = JSON.parse(text) as unknown
    if (!Array.isArray(parsed) || !parsed.every(entry => typeof entry === 'object' && entry !== null)) {
      throw new Error('it is not a list of segments')
    }
    return parsed
  } catch (cause) {
    throw new CacheError('origin-protocol', `${subject}: its manifest cannot be read`, { cause })
  }
}

function segmentOf(entry: Entry, subject: string): { readonly segment: Segment; readonly isManifest: boolean } {
  const { name: path, hash: etag, bytes: objectBytes, range, sub_slo: isManifest } = entry
  const [, container = '', name = ''] = /^\/?([^/]+)\/(.+)$/s.exec(typeof path === 'string' ? path : '') ?? []
  const isComplete = container !== '' && typeof etag === 'string' && typeof objectBytes === 'number'
  if (!isComplete || !Number.isSafeInteger(objectBytes) || objectBytes < 0) {
    throw new CacheError('origin-protocol', `${subject}: a segment in its manifest has no name, hash or size`)
  }
  const whole = { container, name, etag, objectBytes, first: 0, length: objectBytes }
  if (range === undefined || range === null) return { segment: whole, isManifest: isManifest === true }
  const [, first = '', last = ''] = /^(\d+)-(\d+)$/.exec(String(range)) ?? []
  const length = Number(last) - Number(first) + 1
  if (first === '' || length < 1 || Number(last) >= objectBytes) {
    throw new CacheError('origin-unsupported', `${subject}: a segment in its manifest has a range that is not read`)
  }
  return { segment: { ...whole, first: Number(first), length }, isManifest: isManifest === true }
}

/** A stretch of the segments that a manifest within a manifest has. */
function stretchOf(inner: readonly Segment[], { first, length, objectBytes }: Segment, subject: string): Segment[] {
  const stretched: Segment[] = []
  let at = 0
  for (const segment of inner) {
    const from = Math.max(first, at)
    const to = Math.min(first + length, at + segment.length)
    if (from < to) stretched.push({ ...segment, first: segment.first + from - at, length: to - from })
    at += segment.length
  }
  if (at === objectBytes) return stretched
  throw new CacheError('image-changed', `${subject}: a manifest within its manifest has another length`)
}

function placeIn(manifest: string): readonly (string | undefined)[] {
  try {
    const at = manifest.replace(/^\//, '')
    const slash = at.indexOf('/')
    return slash < 0 ? [] : [at.slice(0, slash), at.slice(slash + 1)].map(decodeURIComponent)
  } catch {
    return []
  }
}
