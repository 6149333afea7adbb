/** Limits of the cache that a configuration says, with the origins as they are open. */
import type { CacheLimits } from '../../cache/cache-options.ts'
import type { MountedOrigin } from '../../cache/fetch/origin-table.ts'
import { type Configuration, limitsOf } from '../config/configuration.ts'

export function cacheLimitsOf({ cache, fleet }: Configuration, origins: readonly MountedOrigin[]) {
  return {
    origins,
    mode: cache.mode,
    scrub: { bytesPerSecond: cache.scrubRate, intervalMs: cache.scrubInterval },
    ...limitsOf(cache),
    foreignShareMax: fleet.share,
  } satisfies CacheLimits
}
