/**
 * Limits of base/: each with its unit last and the reason or the sum that led to it.
 */

export const KiB = 1024

export const MiB = 1024 * KiB

/**
 * Longest READ, in bytes: 256 pages of 4 KiB. Source: Linux fs/fuse/fuse_i.h, FUSE_MAX_MAX_PAGES (a sysctl in newer
 * kernels).
 */
export const readBytesMax = 256 * 4 * KiB

/**
 * Requests in flight over fuse-native: each holds a thread, so misses beyond it keep hits waiting. Three quarters of
 * them may be background reads of the kernel. Must equal the number in native-bindings/libfuse2/loop.cc.
 */
export const fuseNativeThreads = 64

/**
 * The time that a miss may take, unless the configuration says otherwise: as long as SCSI waits for a disk by default.
 */
export const missSecondsMax = 30

/** Descriptors that a directory as origin keeps open: enough for the parents in use, far below RLIMIT_NOFILE. */
export const originDescriptorsMax = 128

/** Names that a listing shows, the first ones: 100 bytes of memory each. The others are found by name all the same. */
export const listingNamesMax = 1_000_000

/** Longest name of an image, in bytes: NAME_MAX of Linux. */
export const nameBytesMax = 255

/** The time for which the kernel may keep a name without asking: short, so that the next lookup finds a new version. */
export const nameSecondsValid = 1

/** Longest file of digests that is read: SHA256SUMS of ten thousand images. */
export const digestFileBytesMax = 1 * MiB

export const TiB = 1024 ** 4
