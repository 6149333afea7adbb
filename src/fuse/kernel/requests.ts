/**
 * The structures of requests, decoded: one function each, named after what it reads.
 *
 * All throw Refusal malformed when the request is too short. Source of every layout: Linux include/uapi/linux/fuse.h.
 */
import type { RequestReader } from './request-reader.ts'

/** Bytes of struct fuse_in_header. */
export const requestHeaderBytes = 40

export interface RequestHeader {
  readonly opcode: number
  /** Opaque: goes back as it came, bit 63 (a resent request) included. */
  readonly unique: bigint
  readonly nodeId: bigint
  /** The thread that waits; 0 for the kernel's own requests and for other pid namespaces. */
  readonly pid: number
}

/** struct fuse_in_header */
export function readHeader(reader: RequestReader): RequestHeader {
  reader.skip(4)
  const opcode = reader.u32()
  const unique = reader.u64()
  const nodeId = reader.u64()
  reader.skip(8)
  const pid = reader.u32()
  reader.skip(4)
  return { opcode, unique, nodeId, pid }
}

export interface InitOffer {
  readonly major: number
  readonly minor: number
  readonly maxReadaheadBytes: number
  /** Bits 0 to 31 of what the kernel can do. */
  readonly flags: number
  /** Bits 32 to 63; 0 when the kernel knows no such bits. */
  readonly flags2: number
}

/** struct fuse_init_in; kernels before 7.36 send 16 bytes and no flags2. */
export function readInit(reader: RequestReader): InitOffer {
  const major = reader.u32()
  const minor = reader.u32()
  const maxReadaheadBytes = reader.u32()
  const flags = reader.u32()
  return { major, minor, maxReadaheadBytes, flags, flags2: reader.remaining >= 4 ? reader.u32() : 0 }
}

export interface ReadRequest {
  readonly handle: bigint
  readonly offset: bigint
  readonly length: number
}

/** struct fuse_read_in: of READ, READDIR and READDIRPLUS. */
export function readRead(reader: RequestReader): ReadRequest {
  const handle = reader.u64()
  const offset = reader.u64()
  const length = reader.u32()
  reader.skip(20)
  return { handle, offset, length }
}

/** struct fuse_open_in: the flags of open(2). */
export function readOpen(reader: RequestReader): number {
  const flags = reader.u32()
  reader.skip(4)
  return flags
}

/** struct fuse_release_in: the handle, of RELEASE and RELEASEDIR. */
export function readRelease(reader: RequestReader): bigint {
  const handle = reader.u64()
  reader.skip(16)
  return handle
}

/** struct fuse_lseek_in; `whence` as in lseek(2). */
export function readSeek(reader: RequestReader): { handle: bigint; offset: bigint; whence: number } {
  const handle = reader.u64()
  const offset = reader.u64()
  const whence = reader.u32()
  reader.skip(4)
  return { handle, offset, whence }
}

/** struct fuse_getattr_in is taken and not used: attributes belong to the node, not to the handle. */
export function readGetAttributes(reader: RequestReader): void {
  reader.skip(16)
}

/** struct fuse_statx_in is taken and not used: whatever is asked for, the answer says what it has. */
export function readStatx(reader: RequestReader): void {
  reader.skip(24)
}

/** struct fuse_access_in: the mask of access(2). */
export function readAccess(reader: RequestReader): number {
  const mask = reader.u32()
  reader.skip(4)
  return mask
}

/** struct fuse_getxattr_in, of GETXATTR and LISTXATTR: how many bytes the reader takes; 0 asks for their number. */
export function readValueBytesMax(reader: RequestReader): number {
  const bytesMax = reader.u32()
  reader.skip(4)
  return bytesMax
}

/** struct fuse_interrupt_in: the request to interrupt. */
export function readInterrupt(reader: RequestReader): bigint {
  return reader.u64()
}

export interface Forgotten {
  readonly nodeId: bigint
  readonly lookups: number
}

/** struct fuse_forget_in */
export function readForget(reader: RequestReader): number {
  return Number(reader.u64())
}

/** struct fuse_batch_forget_in and its entries. */
export function readBatchForget(reader: RequestReader): Forgotten[] {
  const count = reader.u32()
  reader.skip(4)
  const forgotten: Forgotten[] = []
  for (let k = 0; k < count; k++) forgotten.push({ nodeId: reader.u64(), lookups: Number(reader.u64()) })
  return forgotten
}
