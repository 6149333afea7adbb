/**
 * Limits of fuse/fuse-native/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB } from '../../base/limits.ts'

export const fuseNativeBackgroundMax = 48

/** Longest READ over fuse-native, in bytes: 32 pages. Source: Linux fs/fuse/fuse_i.h, FUSE_DEFAULT_MAX_PAGES_PER_REQ. */
export const fuseNativeReadBytesMax = 32 * 4 * KiB

/** Longest path of a mountpoint, and longest options, in bytes: fuse-native cuts what is longer, and mounts elsewhere. */
export const fuseNativeTextBytesMax = 1023

/** Names that are remembered over fuse-native though nobody has them open. */
export const toldNamesMax = 65_536

/** How often a session of fuse-native is looked at: nothing says that it has ended. */
export const fuseNativeLookMs = 250
