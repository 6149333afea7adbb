/**
 * The keys below a prefix of a bucket, by ListObjectsV2: page after page, each a request of its own.
 *
 * Source: Amazon S3 API Reference, ListObjectsV2. Keys come percent-encoded, because XML cannot hold all of them.
 */
import { TimeSlice } from '../../async/time-slice.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { listingNamesMax } from '../../base/limits.ts'
import { pathOfKey } from '../contract/image-name.ts'
import type { HttpClient } from '../http/http-client.ts'
import { receiveText } from '../http/protocol/http-body.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import { s3ListingPagesMax, s3PageBytesMax, s3PageNamesMax } from './limits.ts'
import { encodedPart } from './s3-url.ts'
import { xmlLeavesOf } from './xml.ts'

interface Page {
  readonly keys: readonly string[]
  /** Of the page behind it; null: it is the last. */
  readonly next: string | null
}

/**
 * The paths of the objects behind `prefix`, at most one more than are shown; null where we may not list.
 * @throws CacheError as Origin.list
 */
export async function listKeys(
  client: HttpClient,
  bucket: URL,
  prefix: string,
  signal: CancelSignal,
): Promise<readonly string[] | null> {
  const names = new Set<string>()
  const slice = new TimeSlice(1)
  let token: string | null = null
  for (let pages = 0; ; pages++) {
    const page: Page | null = await pageAt(client, bucket, prefix, token, signal)
    if (page === null) return null
    for (const key of page.keys) {
      const path = key.startsWith(prefix) ? pathOfKey(key.slice(prefix.length)) : null
      if (path !== null && names.size <= listingNamesMax) names.add(path)
    }
    if (page.next === null || names.size > listingNamesMax) return [...names]
    if (page.next === token || pages >= s3ListingPagesMax) {
      throw new CacheError('origin-protocol', `${bucket.href}: its listing has no end`)
    }
    token = page.next
    if (slice.isOver) await slice.yield()
  }
}

async function pageAt(
  client: HttpClient,
  bucket: URL,
  prefix: string,
  token: string | null,
  signal: CancelSignal,
): Promise<Page | null> {
  const url = new URL(bucket)
  const query = { 'encoding-type': 'url', 'list-type': '2', 'max-keys': String(s3PageNamesMax), prefix }
  const asked = Object.entries(token === null ? query : { ...query, 'continuation-token': token })
  url.search = asked.map(([name, value]) => `${name}=${encodedPart(value)}`).join('&')
  return await client.exchange({ method: 'GET', url, headers: {} }, signal, async (answer, watch) => {
    // What is asked of servers without the right to list; other refusals are about the keys.
    if (answer.status === 403 && answer.error?.code === 'AccessDenied') return null
    if (answer.status === 404) throw new CacheError('origin-protocol', failureOf(answer, 'list').message)
    if (answer.status !== 200) throw failureOf(answer, 'list')
    const text = await receiveText(answer, s3PageBytesMax, watch)
    try {
      if (text === null) throw new Error(`a page of more than ${s3PageBytesMax} bytes`)
      return pageIn(text)
    } catch (cause) {
      throw new CacheError('origin-protocol', `${answer.place}: not a listing: ${messageOf(cause)}`, { cause })
    }
  })
}

/**
 * One page.
 * @throws Error when it is not whole, or not such a document
 */
export function pageIn(text: string): Page {
  const keys: string[] = []
  const found = new Map<string, string>()
  for (const { path, text: value } of xmlLeavesOf(text)) {
    if (path === 'ListBucketResult/Contents/Key') keys.push(value)
    else found.set(path, value)
  }
  const isTruncated = found.get('ListBucketResult/IsTruncated')
  if (isTruncated !== 'true' && isTruncated !== 'false') throw new Error('it does not say whether there is more')
  const next = found.get('ListBucketResult/NextContinuationToken') ?? ''
  if (isTruncated === 'true' && next === '') throw new Error('it does not say how to go on')
  const isEncoded = found.get('ListBucketResult/EncodingType') === 'url'
  return {
    keys: isEncoded ? keys.flatMap(key => decoded(key) ?? []) : keys,
    next: isTruncated === 'true' ? next : null,
  }
}

/** AWS writes a space as a plus, and a plus as %2B. @returns null when it is no text, and so no name */
function decoded(key: string): string | null {
  try {
    return decodeURIComponent(key.replace(/\+/g, ' '))
  } catch {
    return null
  }
}
