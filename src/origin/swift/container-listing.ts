/**
 * Listing of a container by prefix: pages of JSON, each with its own deadline.
 *
 * Source: OpenStack Object Storage API, "Show container details and list objects"; "Page through large lists".
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { HttpClient } from '../http/http-client.ts'
import { receiveText } from '../http/protocol/http-body.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import { listingPagesMax, pageBytesMax, pageNamesMax } from './limits.ts'

/** The account may not list the container. Its objects may be read all the same. */
export class ListingForbidden extends CacheError {
  constructor(place: string) {
    super('access-denied', `${place}: may not be listed (403)`)
  }
}

/** An object as a listing has it, whose size may be wrong: that of a dynamic large object is 0. */
export interface ListedObject {
  readonly name: string
  readonly hash: string
  readonly bytes: number
  readonly isDirectory: boolean
  /** A large object, which a listing tells of some. */
  readonly isLarge: boolean
}

/**
 * The objects whose names begin with `prefix`, page by page, in the server's order.
 * @param container URL of the container
 * @throws CacheError not-found, access-denied, origin-*, aborted
 */
export async function* listedObjects(
  client: HttpClient,
  container: URL,
  prefix: string,
  signal: CancelSignal,
): AsyncGenerator<readonly ListedObject[]> {
  let marker = ''
  // A page may be shorter than asked for: only an empty one is the last.
  for (let pages = 1; ; pages++) {
    const url = new URL(container)
    url.search = `${new URLSearchParams({ format: 'json', limit: String(pageNamesMax), prefix, marker })}`
    const page = await client.exchange({ method: 'GET', url, headers: {} }, signal, async (answer, watch) => {
      if (answer.status === 204) return []
      if (answer.status === 403) throw new ListingForbidden(answer.place)
      if (answer.status !== 200) throw failureOf(answer, 'list')
      const text = await receiveText(answer, pageBytesMax, watch)
      return parsedPage(text, `${answer.place}?prefix=${prefix}`)
    })
    if (page.length === 0) return
    yield page
    const last = page.at(-1)!.name
    if (last === marker || pages > listingPagesMax) {
      throw new CacheError('origin-protocol', `${container.href}: its listing has no end`)
    }
    marker = last
  }
}

/** @param text null: longer than is read */
function parsedPage(text: string | null, place: string): ListedObject[] {
  try {
    if (text === null) throw new Error(`it is longer than ${pageBytesMax} bytes`)
    const parsed = text === '' ? [] : (JSON.parse(text) as unknown)
    if (!Array.isArray(parsed)) throw new Error('it is not a list')
    return parsed.map(objectOf)
  } catch (cause) {
    throw new CacheError('origin-protocol', `${place}: not a listing of a container`, { cause })
  }
}

function objectOf(entry: unknown): ListedObject {
  const { name, hash, bytes, content_type: type, slo_etag: sloEtag } = (entry ?? {}) as Record<string, unknown>
  if (typeof name !== 'string' || typeof hash !== 'string') throw new Error('an entry has no name or no hash')
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) throw new Error('an entry has no size')
  const isDirectory = typeof type === 'string' && /^application\/directory\b/i.test(type)
  return { name, hash, bytes, isDirectory, isLarge: sloEtag !== undefined }
}
