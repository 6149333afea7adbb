/**
 * The part of a parent that the mode of its image leaves to the cluster: clients have a way back, so `forward`
 * sends them there for what is not held whole.
 */
import type { CacheMode } from '../cache/modes/cache-mode.ts'
import type { LeftToCluster } from '../native/librbd.ts'

const byMode: Readonly<Record<CacheMode, LeftToCluster>> = { promote: 0, proxy: 0, forward: 1, none: 2 }

export function leftToClusterIn(mode: CacheMode): LeftToCluster {
  return byMode[mode]
}
