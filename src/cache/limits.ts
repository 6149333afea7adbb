/**
 * Limits of cache/: each with its unit last and the reason or the sum that led to it.
 */
import { MiB } from '../base/limits.ts'

/** Bytes being fetched from origins at once. Sixty-four whole objects of the default size. */
export const fetchBytesMax = 256 * MiB

/** The interval at which a removal of an origin looks whether its holders are gone. */
export const removalLookMs = 500

/**
 * The interval at which images that the kernel reads by itself are looked after, and the time for which one that it
 * could not open is not offered.
 */
export const passthroughLookMs = 1_000
