/**
 * Limits of index/guard/: each with its unit last and the reason or the sum that led to it.
 */
import { MiB } from '../../base/limits.ts'

/**
 * Bytes of the index that are locked in memory: the index of 2.8 TiB of whole objects, at 37 + 281 bytes each and
 * half-filled pages.
 */
export const indexLockedBytesMax = 256 * MiB
