/**
 * Limits of fuse/fuse-native/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB } from '../../base/limits.ts'

export const fuseNativeBackgroundMax = 48

/**
 * Longest READ over fuse-native, in bytes: 32 pages. Source: Linux fs/fuse/fuse_i.h, FUSE_DEFAULT_MAX_PAGES_PER_REQ.
 */
export const fuseNativeReadBytesMax = 32 * 4 * KiB

/** Longest path of a mountpoint, and longest options, in bytes: fuse-native cuts longer ones, and mounts elsewhere. */
export const fuseNativeTextBytesMax = 1023

/** Names that are remembered over fuse-native without being open. */
export const pinnedNamesMax = 65_536

/** The interval at which a session of fuse-native is looked at: it does not tell its end. */
export const fuseNativeLookMs = 250
