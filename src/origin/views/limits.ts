/**
 * Limits of origin/views/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'

/** Packed images whose headers are kept: as many as a directory keeps open, some hundred bytes each. */
export const openDisksMax = 128

/**
 * Tables kept in memory, of all packed images of an origin: those of 256 GiB of disk in clusters of 64 KiB, where an
 * entry has 8 bytes.
 */
export const tableBytesMax = 32 * MiB

/** The part of a table that is read and kept at once: at least a page, and an L2 table of qcow2's default at most. */
export const tablePageBytesMin = 4 * KiB
export const tablePageBytesMax = 64 * KiB

/** Clusters below this size are unpacked together, as one unit: a block of the cache. */
export const unitBytesMin = 64 * KiB

/** Unpacked units kept for the next read, of all images of an origin: sixteen of the largest clusters. */
export const unitBytesMax = 32 * MiB

/** Neighbouring units are read and unpacked together up to this size: enough to merge their requests. */
export const unpackBatchBytesMax = 1 * MiB

/** Bytes of units that are being unpacked, of all images of an origin: 64 of the largest batches. */
export const unpackingBytesMax = 64 * MiB

/** Packed bytes that one request asks for, unless one cluster has more: as long as the longest READ. */
export const requestBytesMax = 1 * MiB

/** Bytes between two wanted ranges that are fetched along: less than a round trip costs. */
export const gapBytesMax = 8 * KiB

/** Requests under way for one batch, or for the plain clusters of one read. */
export const requestsMax = 4

/** Names whose view is hidden by a file, and that the log has been told of. */
export const shadowedNamesMax = 1_024

/**
 * Steps of one search for the end of an extent, and the entries that each looks at, of one table: 4 GiB of disk in
 * clusters of 64 KiB, some milliseconds.
 */
export const extentStepsMax = 64
export const extentEntriesMax = 1_024

/** Clusters of qcow2, as powers of two: 512 bytes to 2 MiB. Source: QEMU, docs/interop/qcow2.txt. */
export const clusterBitsMin = 9
export const clusterBitsMax = 21

/** Grains of VMDK, in sectors: 4 KiB, the least that the format has, to 2 MiB. */
export const grainSectorsMin = 8
export const grainSectorsMax = 4_096

/** Entries of a grain table. Source: VMware, Virtual Disk Format 5.0: there are always 512. */
export const grainTableEntriesMax = 512

/** Longest descriptor within a VMDK: twenty sectors are usual. */
export const descriptorBytesMax = 64 * KiB

/** Bytes that a grain may have more when it is packed: deflate stores what does not shrink, 5 bytes for 16 KiB. */
export const grainExcessBytesMax = 1 * KiB

/** Packed bytes of one request of a pass, and its tries, each of which takes as long as a read may. */
export const packedRangeBytes = 1 * MiB
export const packedRangeTriesMax = 10

/** Bytes that one step of a decoder puts out: enough that the way to another thread is little beside the work. */
export const decodedBytesMax = 256 * KiB

/** Packed files whose sizes are remembered. */
export const measuredFilesMax = 4_096

/** The time that a lookup waits for a size to be measured: a file of some hundred MiB on a quick link. */
export const measureWaitMs = 5_000

/** Bytes of the index of an xz stream that are read: 100,000 blocks. And streams of a file, its padding included. */
export const xzIndexBytesMax = 1 * MiB
export const xzStreamsMax = 256
