/**
 * In-flight table: the fetches of all images, by object. Each of their blocks is claimed in the image's claim table, so
 * that session threads do not fetch it once more, and the other way round.
 */
import { maskOf } from '../../base/image.ts'
import type { JoinedFetch, StoreFile } from '../../native/addon.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { InflightFetch } from './inflight-fetch.ts'

/** An image, as far as the table knows it. */
export type ClaimedImage = Pick<StoredImage, 'lockKey' | 'claims'> & { readonly file: Pick<StoreFile, 'joinFetches'> }

/** Fetches of some blocks that are under way, and the rest, which is the caller's to fetch. */
export interface Claimed {
  readonly joined: InflightFetch[]
  /** Fetches of session threads, which the caller is to put into the table. */
  readonly native: readonly JoinedFetch[]
  /** Nothing of it is on its way: it is to be fetched, and put into the table in the same turn. */
  readonly rest: bigint
  /** Claims on the rest, to be given to {@link InflightTable.add}. */
  readonly claims: bigint
}

interface Entry {
  readonly inflight: InflightFetch
  /** Ends the claim of its blocks. */
  readonly release: () => void
}

const noEntries: readonly Entry[] = []
const noNative: readonly JoinedFetch[] = []

/** Session threads may begin and end fetches between two looks: after so many, a block may be fetched twice. */
const looksMax = 8

export class InflightTable {
  readonly #byObject = new Map<string, Entry[]>()
  #count = 0
  #onEmpty: (() => void)[] = []

  /** Fetches under way or waiting for promotion. */
  get size(): number {
    return this.#count
  }

  /** Fetches that touch `blocks` of an object and may be joined. */
  overlapping(stored: Pick<StoredImage, 'lockKey'>, object: number, blocks: bigint): InflightFetch[] {
    const touching: InflightFetch[] = []
    for (const { inflight } of this.#byObject.get(stored.lockKey(object)) ?? noEntries) {
      if ((inflight.blocks & blocks) !== 0n && !inflight.cancelled) touching.push(inflight)
    }
    return touching
  }

  /** Those of `blocks` of which nothing is on its way, here or natively. */
  lacking(stored: ClaimedImage, object: number, blocks: bigint): bigint {
    const left = without(blocks, this.overlapping(stored, object, blocks))
    return left === 0n ? left : left & ~stored.claims.claimed(object)
  }

  /** Join what is on its way of `blocks`, and claim the rest. */
  claim(stored: ClaimedImage, object: number, blocks: bigint): Claimed {
    const joined = this.overlapping(stored, object, blocks)
    let rest = without(blocks, joined)
    if (rest === 0n) return { joined, native: noNative, rest, claims: 0n }
    let claims = stored.claims.claim(object, rest)
    if (claims === rest) return { joined, native: noNative, rest, claims }
    // Those that were given up here and have not ended are no one else's.
    const entries = this.#byObject.get(stored.lockKey(object)) ?? noEntries
    const own = entries.reduce((mask, { inflight }) => mask | inflight.blocks, 0n)
    const native: JoinedFetch[] = []
    for (let looks = 0; looks < looksMax; looks++) {
      const foreign = rest & ~claims & ~own
      if (foreign === 0n) break
      for (const fetch of stored.file.joinFetches(object, foreign)) {
        native.push(fetch)
        rest &= ~maskOf(fetch)
      }
      // A native fetch that ended in between left its blocks without a claim.
      const left = rest & ~claims & ~own
      if (left !== 0n) claims |= stored.claims.claim(object, left)
    }
    return { joined, native, rest, claims: claims & rest }
  }

  /** @param release ends the claim of its blocks; called once, when it is removed */
  add(stored: Pick<StoredImage, 'lockKey'>, inflight: InflightFetch, release: () => void): void {
    const key = stored.lockKey(inflight.object)
    const entries = this.#byObject.get(key)
    if (entries) entries.push({ inflight, release })
    else this.#byObject.set(key, [{ inflight, release }])
    this.#count++
  }

  /** Its bytes are published, or do not come. Idempotent. */
  remove(stored: Pick<StoredImage, 'lockKey'>, inflight: InflightFetch): void {
    const key = stored.lockKey(inflight.object)
    const entries = this.#byObject.get(key)
    const place = entries?.findIndex(entry => entry.inflight === inflight) ?? -1
    if (!entries || place < 0) return
    const [entry] = entries.splice(place, 1)
    if (entries.length === 0) this.#byObject.delete(key)
    entry!.release()
    inflight.end()
    this.#count--
    if (this.#count === 0) for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  /** Cancel what has not arrived; resolves when the rest has been promoted or dropped. */
  async close(): Promise<void> {
    for (const entries of this.#byObject.values()) for (const { inflight } of entries) inflight.cancel()
    if (this.#count > 0) await new Promise<void>(resolve => this.#onEmpty.push(resolve))
  }
}

function without(blocks: bigint, fetches: readonly InflightFetch[]): bigint {
  return fetches.reduce((mask, inflight) => mask & ~inflight.blocks, blocks)
}
