/**
 * Modes of the cache: the part that it takes in the reads of an image, in the words of Ceph's cache tiers.
 *
 * - `promote`: a miss is answered and kept
 * - `proxy`: hits are served; a miss is answered and not kept, but in memory for a while
 * - `forward`: a miss is sent back to where the client can read by itself; as `proxy` for whom there is no way back
 * - `none`: the cache is not asked at all
 */

export const cacheModes = ['promote', 'proxy', 'forward', 'none'] as const

export type CacheMode = (typeof cacheModes)[number]

export const cacheModeDefault: CacheMode = 'promote'

/** Is what was fetched put into the store? */
export function keepsMisses(mode: CacheMode): boolean {
  return mode === 'promote'
}

/** May reads be answered from the store? */
export function servesHits(mode: CacheMode): boolean {
  return mode !== 'none'
}

export function isCacheMode(value: unknown): value is CacheMode {
  return cacheModes.some(mode => mode === value)
}
