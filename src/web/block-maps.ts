/**
 * Block maps for pages: the last ones are kept for a moment, so that any number of pages costs one walk. Each says when
 * it is worth asking again: the longer the walk took, the later.
 */
import PQueue from 'p-queue'
import { CacheError } from '../base/errors.ts'
import { LruMap } from '../base/lru-map.ts'
import type { BlockMap, BlockMapOptions } from '../cache/operations/block-map.ts'
import { webMapCostShare, webMapFreshMs, webMapsMax, webMapWalksMax } from './limits.ts'

export interface TimedBlockMap extends BlockMap {
  /** The pause until the next question. */
  readonly refreshMs: number
}

export class BlockMaps {
  readonly #walk: (name: string, options: BlockMapOptions) => Promise<BlockMap>
  readonly #now: () => number
  readonly #walks = new PQueue({ concurrency: webMapWalksMax })
  readonly #kept = new LruMap<string, { readonly map: Promise<TimedBlockMap>; freshMs: number }>(webMapsMax)
  readonly #stop = new AbortController()

  constructor(
    walk: (name: string, options: BlockMapOptions) => Promise<BlockMap>,
    now: () => number = () => performance.now(),
  ) {
    this.#walk = walk
    this.#now = now
  }

  /** @throws CacheError not-found, aborted, overloaded */
  get(name: string, from: number, to: number): Promise<TimedBlockMap> {
    const key = JSON.stringify([name, from, to])
    const kept = this.#kept.use(key)
    if (kept && this.#now() < kept.freshMs) return kept.map
    if (this.#walks.size >= webMapsMax) throw new CacheError('overloaded', 'too many block maps are asked for at once')
    const entry = { map: this.#make(name, from, to, fresh), freshMs: Number.POSITIVE_INFINITY }
    const self = this
    function fresh(pauseMs: number) {
      entry.freshMs = self.#now() + pauseMs
    }
    this.#kept.set(key, entry)
    entry.map.catch(() => this.#kept.delete(key))
    return entry.map
  }

  /** End walks. Idempotent. */
  close(): void {
    this.#stop.abort()
    this.#walks.clear()
  }

  #make(name: string, from: number, to: number, fresh: (pauseMs: number) => void): Promise<TimedBlockMap> {
    const { signal } = this.#stop
    return this.#walks.add(async () => {
      const startedMs = this.#now()
      const map = await this.#walk(name, { from, to, signal })
      const refreshMs = Math.ceil(Math.max(webMapFreshMs, (this.#now() - startedMs) / webMapCostShare))
      fresh(refreshMs)
      return { ...map, refreshMs }
    })
  }
}
