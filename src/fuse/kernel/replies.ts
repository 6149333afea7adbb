/**
 * The structures of replies, encoded: one function each. Source of every layout: Linux include/uapi/linux/fuse.h.
 *
 * Nothing here is decided: how long the kernel may keep an answer is in `limits.ts`.
 */

import { nameBytesMax, nameSecondsValid } from '../../base/limits.ts'
import type { Attributes } from '../filesystem/attributes.ts'
import type { FileSystemCapacity, OpenedImage } from '../filesystem/file-system.ts'
import { attributeSecondsValid } from './limits.ts'
import { type ReplyWriter, replyOf } from './reply-writer.ts'

/** struct fuse_entry_out, at the head of a directory entry too. */
export const entryBytes = 128

/** open_out.open_flags: each read comes to us; only mappings are of the backing file, when there is one. */
const directIo = 1 << 0

/** open_out.open_flags: what the page cache has of an image stays right, because images are immutable. */
const keepCache = 1 << 1

/**
 * open_out.open_flags: a close asks no daemon, so that it ends well even when there is none any more. Source: Linux
 * fs/fuse/file.c, fuse_flush (FOPEN_NOFLUSH, since 5.16; kernels before it ask once).
 */
const noFlush = 1 << 5

/** open_out.open_flags: the kernel reads the backing file by itself. No flag of caching goes with it. */
const passthrough = 1 << 7

/**
 * STATX_BASIC_STATS: everything but the time of birth, which origins do not tell. Source: Linux
 * include/uapi/linux/stat.h.
 */
const statxBasic = 0x7ff

/** The unit in which statfs counts, in bytes. */
const statfsBlockBytes = 4096

/**
 * struct fuse_entry_out: the node of a name. Node ids are never reused, so the generation is always 0.
 * @param nameSeconds time for which the kernel need not ask again
 */
export function entryReply(attributes: Attributes, nameSeconds = nameSecondsValid): Uint8Array {
  const writer = replyOf(entryBytes)
  writeEntry(writer, attributes, nameSeconds)
  return writer.bytes
}

/**
 * struct fuse_entry_out with no node: the name is absent, and the kernel need not ask for so long. Source: Linux
 * fs/fuse/dir.c, fuse_lookup_name ("Zero nodeid is same as -ENOENT, but with valid timeout").
 */
export function absentReply(ms: number): Uint8Array {
  const writer = replyOf(entryBytes).u64(0n).u64(0n)
  const nanoseconds = Math.floor((ms % 1000) * 1e6)
  return writer
    .u64(BigInt(Math.floor(ms / 1000)))
    .u64(0n)
    .u32(nanoseconds)
    .u32(0).bytes
}

export function writeEntry(writer: ReplyWriter, attributes: Attributes, nameSeconds = nameSecondsValid): void {
  writer.u64(attributes.nodeId).u64(0n)
  writer.u64(BigInt(nameSeconds)).u64(BigInt(attributeSecondsValid)).skip(8)
  writeAttributes(writer, attributes)
}

/** struct fuse_attr_out */
export function attributesReply(attributes: Attributes): Uint8Array {
  const writer = replyOf(104).u64(BigInt(attributeSecondsValid)).skip(8)
  writeAttributes(writer, attributes)
  return writer.bytes
}

/** struct fuse_statx_out */
export function statxReply(attributes: Attributes): Uint8Array {
  const { mode, uid, gid, links, inode, sizeBytes, blocks, preferredBytes, modifiedMs } = attributes
  const time = splitTime(modifiedMs)
  const writer = replyOf(288).u64(BigInt(attributeSecondsValid)).skip(24)
  writer.u32(statxBasic).u32(preferredBytes).skip(8)
  writer.u32(links).u32(uid).u32(gid).u16(mode).skip(2)
  writer.u64(inode).u64(BigInt(sizeBytes)).u64(BigInt(blocks)).skip(8)
  writer.u64(time.seconds).u32(time.nanoseconds).skip(4)
  // The time of birth: left out of the mask.
  writer.skip(16)
  writer.u64(time.seconds).u32(time.nanoseconds).skip(4)
  writer.u64(time.seconds).u32(time.nanoseconds)
  return writer.bytes
}

/** struct fuse_open_out of a file. */
export function openReply({ handle, backingId, isServed }: OpenedImage): Uint8Array {
  const writer = replyOf(16).u64(handle)
  return backingId === null
    ? writer.u32(keepCache | noFlush).bytes
    : writer.u32(passthrough | noFlush | (isServed ? directIo : 0)).u32(backingId).bytes
}

/**
 * struct fuse_open_out of a directory. Without FOPEN_CACHE_DIR: it would save the second of two listings only together
 * with FOPEN_KEEP_CACHE, which would hide new images for as long as the kernel likes.
 */
export function openDirectoryReply(handle: bigint): Uint8Array {
  return replyOf(16).u64(handle).bytes
}

/** struct fuse_statfs_out */
export function statfsReply({ totalBytes, freeBytes, files }: FileSystemCapacity): Uint8Array {
  const free = BigInt(Math.floor(freeBytes / statfsBlockBytes))
  const writer = replyOf(80).u64(BigInt(Math.floor(totalBytes / statfsBlockBytes)))
  return writer
    .u64(free)
    .u64(free)
    .u64(BigInt(files))
    .u64(0n)
    .u32(statfsBlockBytes)
    .u32(nameBytesMax)
    .u32(statfsBlockBytes).bytes
}

/** struct fuse_getxattr_out: how many bytes there would be. */
export function valueBytesReply(bytes: number): Uint8Array {
  return replyOf(8).u32(bytes).bytes
}

/** struct fuse_lseek_out */
export function seekReply(offset: number): Uint8Array {
  return replyOf(8).u64(BigInt(offset)).bytes
}

/** struct fuse_attr; atime and ctime are the modification time too. */
function writeAttributes(writer: ReplyWriter, attributes: Attributes): void {
  const { inode, mode, links, uid, gid, sizeBytes, blocks, preferredBytes, modifiedMs } = attributes
  const { seconds, nanoseconds } = splitTime(modifiedMs)
  writer.u64(inode).u64(BigInt(sizeBytes)).u64(BigInt(blocks))
  writer.u64(seconds).u64(seconds).u64(seconds).u32(nanoseconds).u32(nanoseconds).u32(nanoseconds)
  writer.u32(mode).u32(links).u32(uid).u32(gid).skip(4).u32(preferredBytes).skip(4)
}

/** Milliseconds, with a fraction perhaps, before 1970 perhaps. */
function splitTime(ms: number): { seconds: bigint; nanoseconds: number } {
  const seconds = Math.floor(ms / 1000)
  return { seconds: BigInt(seconds), nanoseconds: Math.min(999_999_999, Math.round((ms - seconds * 1000) * 1e6)) }
}
