/**
 * Negotiation of INIT: the kernel's offer, and our choice.
 *
 * The choice holds until the unmount, for every process that serves the mount: it is plain JSON that a supervisor can
 * hold. Left out on purpose: POSIX_LOCKS and FLOCK_LOCKS (the kernel's own locks work, ours would fail every qemu),
 * AUTO_INVAL_DATA (images are immutable), EXPORT_SUPPORT, WRITEBACK_CACHE, and all that leaves out opens.
 */
import { readBytesMax } from '../../base/limits.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { replyOf } from './reply-writer.ts'
import type { InitOffer } from './requests.ts'

/** Plain JSON. */
export interface Negotiated {
  readonly minor: number
  /** Bits 0 to 31 of what is switched on. */
  readonly flags: number
  /** Bits 32 to 63. */
  readonly flags2: number
  readonly maxReadaheadBytes: number
}

/** Source: Linux include/uapi/linux/fuse.h, INIT request/reply flags. */
export const initFlags = {
  ASYNC_READ: 1 << 0,
  POSIX_LOCKS: 1 << 1,
  EXPORT_SUPPORT: 1 << 4,
  FLOCK_LOCKS: 1 << 10,
  AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  ASYNC_DIO: 1 << 15,
  WRITEBACK_CACHE: 1 << 16,
  NO_OPEN_SUPPORT: 1 << 17,
  PARALLEL_DIROPS: 1 << 18,
  MAX_PAGES: 1 << 22,
  /** Without it the kernel ignores flags2. */
  INIT_EXT: 1 << 30,
} as const

/** Bit 39 of the flags: a new worker gets the unanswered requests of its predecessor again (7.40, Linux 6.9). */
export const hasResend = 1 << (39 - 32)

/** Bit 37: the kernel reads the data files of complete images by itself (7.40, Linux 6.9). */
export const passthroughFlag = 1 << (37 - 32)

/**
 * File systems that may lie on each other below ours, for passthrough: the data files' own must lie on none. Ours
 * counts as one then, so that an overlay may lie on it still. Source: Linux fs/fuse/inode.c, process_init_reply;
 * include/linux/fs.h, FILESYSTEM_MAX_STACK_DEPTH.
 */
const stackDepth = 1

/** Would a new worker on the same descriptor get what its predecessor left unanswered? */
export function repeatsRequests({ flags2 }: Negotiated): boolean {
  return (flags2 & hasResend) !== 0
}

/** Taken where offered. */
const wanted =
  initFlags.ASYNC_READ |
  initFlags.DO_READDIRPLUS |
  initFlags.READDIRPLUS_AUTO |
  initFlags.ASYNC_DIO |
  initFlags.PARALLEL_DIROPS |
  initFlags.MAX_PAGES |
  initFlags.INIT_EXT

const major = 7
/** The newest protocol whose facts we have checked. */
const minorMax = 45
/** The oldest with MAX_PAGES, without which reads are cut at 128 KiB: Linux 4.20. */
const minorMin = 28

/**
 * Requests that the kernel may have outstanding in the background. With the kernel's default of 12 slow misses keep
 * hits waiting, since read-ahead and asynchronous direct reads all are background requests. Misses are bounded by us.
 */
const maxBackground = 65_535
/**
 * Three quarters of it, as the kernel's own default. Source: Linux fs/fuse/inode.c, FUSE_DEFAULT_CONGESTION_THRESHOLD.
 */
const congestionThreshold = 49_151
/** The least that the kernel takes; there are no writes. Source: Linux fs/fuse/inode.c, process_init_reply. */
const maxWriteBytes = 4096
/** Granularity of times, in nanoseconds. */
const timeGranularity = 1
/** Pages of the kernel may be larger than this: then the mount option max_read bounds a READ. */
const pageBytes = 4096

/**
 * Our choice from an offer, passthrough only if we want it; null asks the kernel to offer again in our major version.
 * @throws Refusal foreign-protocol for a kernel that is too old
 */
export function negotiate(offer: InitOffer, wantsPassthrough: boolean): Negotiated | null {
  if (offer.major > major) return null
  if (offer.major < major || offer.minor < minorMin) {
    throw new FsError(
      'foreign-protocol',
      `FUSE ${offer.major}.${offer.minor} is older than ${major}.${minorMin} (Linux 4.20)`,
    )
  }
  const flags = offer.flags & wanted
  return {
    minor: Math.min(minorMax, offer.minor),
    flags,
    flags2: flags & initFlags.INIT_EXT ? offer.flags2 & (hasResend | (wantsPassthrough ? passthroughFlag : 0)) : 0,
    maxReadaheadBytes: offer.maxReadaheadBytes,
  }
}

/** struct fuse_init_out */
export function initReply(negotiated: Negotiated | null): Uint8Array {
  const writer = replyOf(64).u32(major)
  if (!negotiated) return writer.bytes
  const { minor, maxReadaheadBytes, flags, flags2 } = negotiated
  writer.u32(minor).u32(maxReadaheadBytes).u32(flags)
  writer.u16(maxBackground).u16(congestionThreshold).u32(maxWriteBytes).u32(timeGranularity)
  return writer
    .u16(readBytesMax / pageBytes)
    .skip(2)
    .u32(flags2)
    .u32(flags2 & passthroughFlag ? stackDepth : 0).bytes
}
