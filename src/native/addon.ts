/**
 * The typed boundary to the addon in native-bindings/, and the only loader of it.
 *
 * Everything here is declared once, in the order in which native-bindings/bridge/ defines it. The addon holds no
 * policy: it repeats decisions that TypeScript published in a residency table, and does file I/O on its own threads, so
 * that a stalled disk stops neither the event loop nor libuv's pool.
 *
 * A system call that fails throws (or rejects with) a {@link SystemError}.
 */

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LatencyCounts } from '../base/latency-histogram.ts'
import type { Verified, WrittenSums } from './block-outcomes.ts'
import type { FileReaders } from './file-readers.ts'
import type { Libfuse2 } from './libfuse2.ts'
import type { Librbd } from './librbd.ts'
import type { LogWriters } from './log-writer.ts'
import type { OriginGrant, OriginReader } from './origin-reader.ts'
import type { RangeReceiver } from './range-receiver.ts'
import type { ServingFront, ServingFrontLimits, ServingFrontListener } from './serving-front.ts'
import type { StreamDecoders } from './stream-decoder.ts'
import type { TreeProof, TreeProofs } from './tree-proof.ts'
import type { UnitPermitTables } from './unit-permits.ts'
import type { Unpacker } from './unpacker.ts'

/** The error of a failed system call: the fields of Node's own errors. */
export interface SystemError extends Error {
  /** The errno's name, for example `EBUSY`. */
  readonly code: string
  /** The errno, positive. */
  readonly errno: number
  /** The system call, for example `mount`. */
  readonly syscall: string
}

/** Another data file with blocks that are to be written. */
export interface CloneSources {
  readonly file: StoreFile
  /** The offset there of each block of all extents, in order; -1 for a block that it lacks. */
  readonly offsets: readonly number[]
}

/** The result of `fstat` for a data file, in bytes. */
export interface FileUsage {
  readonly sizeBytes: number
  /** st_blocks * 512: what the file takes on disk. */
  readonly allocatedBytes: number
}

/** Hits answered natively from one data file. */
export interface FileHits {
  readonly hits: number
  readonly hitBytes: number
}

/** Bytes of a file that are locked in memory. */
export interface LockedFile {
  readonly lockedBytes: number
  readonly sizeBytes: number
}

/**
 * One data file and its residency table. Native threads hold references of their own: after `close()` the file
 * descriptor and the table live until the last of them is done.
 */
export interface StoreFile {
  /**
   * 16 bytes an object, shared with the native readers: `resident u64 | generation u32 | lastUse u32`, little-endian.
   * Only `store/` writes it, with Atomics; the hit path writes lastUse.
   */
  readonly table: ArrayBuffer
  /** 16 bytes an object, shared likewise: see src/store/image/claim-table.ts. */
  readonly claims: ArrayBuffer
  /** No other file of the process has it: reports of fetches name it. */
  readonly number: number
  /**
   * Read `target.length` bytes at `offset`, under the reader's protocol: generations, bits, bytes, generations again.
   * Resolves false when a block is not resident, when a generation moved, or when the file gave too little or an error:
   * then nothing in `target` may be used.
   */
  read(offset: number, target: Uint8Array): Promise<boolean>
  /**
   * Write extents, in order, and say their checksums: whole blocks at each of `offsets` (block-aligned; the length is
   * whole blocks, or reaches the end of the image). Runs of zero blocks are punched instead of written. Changes no
   * residency.
   * @param toDisk leave nothing in the page cache (O_DIRECT), where an extent begins at a page, see {@link
   * Addon.bytesToPage}, objects are multiples of 2 MiB, and the file system can
   * @param clones blocks whose place another file shares, where the file system can and its bytes are the same
   */
  writeBlocks(
    offsets: readonly number[],
    extents: readonly Uint8Array[],
    toDisk?: boolean,
    clones?: CloneSources | null,
  ): Promise<WrittenSums>
  /**
   * Read the blocks of `object` that `blocks` names, whatever the table says, and compare them with `sums` (64
   * entries). Resolves those that were whole and right, and those that could not be read. Changes no residency.
   * @param fromDisk read past the page cache (O_DIRECT), and leave that as it is; where the file system cannot, through
   * it
   * @param proof of a sealed image: what it finds wrong is not good either; null for none
   */
  verify(
    object: number,
    blocks: bigint,
    sums: Uint32Array,
    fromDisk: boolean,
    proof?: TreeProof | null,
  ): Promise<Verified>
  /** Punch a hole. `length` may reach past the end of the file; its size stays. */
  punch(offset: number, length: number): Promise<void>
  /** Let the page cache forget a range: it will be read from the disk. What is not written yet stays. */
  dropPages(offset: number, length: number): Promise<void>
  /** fdatasync. */
  sync(): Promise<void>
  /** The first offset at or after `offset` that holds data, or -1 when there is none (SEEK_DATA). */
  seekData(offset: number): Promise<number>
  usage(): FileUsage
  /** Is the file open elsewhere, or mapped? Throws EINVAL where the file system cannot tell. */
  isOpenElsewhere(): boolean
  /**
   * From now on session threads answer READs from `bytes`, which are those of the image at `offset`, whatever the table
   * says, and must not be changed. The first READ of each unit of `unitBytes`, and the first that comes to the end, is
   * reported, whatever its source.
   * @param told units that are not reported, bit by bit: at most 64, the last one stands for all that follow
   * @returns false, and nothing is done, when another such range touches this one
   */
  insertBuffered(offset: number, bytes: Uint8Array, unitBytes: number, told: bigint): boolean
  /**
   * Afterwards the bytes that were buffered at `offset` are not being read; READs are reported as before. Waits
   * for one answer at most.
   */
  releaseBuffered(offset: number): void
  /** The same, and nothing is told any more. Of all that is shelved when there is no `offset`. */
  removeBuffered(offset?: number): void
  /**
   * The origin that session threads ask for blocks that are missing; null for none. What came is reported, see {@link
   * Engine.onFetches}. To be set when that changes, not for each read: it crosses to native code and takes a lock.
   */
  setFetchOrigin(source: OriginReader | null): void
  /** The native fetches that touch `blocks`. From now on each is reported however it ends; what fails stays claimed. */
  joinFetches(object: number, blocks: bigint): readonly JoinedFetch[]
  /** The blocks of an object that native fetches are bringing, or have brought and nobody has released. */
  comingBlocks(object: number): bigint
  /** READs that were answered natively from this file, and the bytes in them; none after `close()`. */
  hits(): FileHits
  /** Idempotent. Pending operations settle. */
  close(): void
}

/** A native fetch, and its run of blocks in its object. */
export interface JoinedFetch {
  readonly id: number
  readonly first: number
  readonly count: number
}

/** Counters of a session since it started. */
export interface SessionCounters {
  /** READs answered natively, and the bytes in them. */
  readonly hits: number
  readonly hitBytes: number
  /** Hits that had to go to a store thread because the page cache did not have them (a subset of `hits`). */
  readonly deferred: number
  /** Requests handed to TypeScript. */
  readonly forwarded: number
  /** Objects of the sample whose use found no room, see {@link Session.takeSamples}. */
  readonly droppedSamples: number
}

/** Latencies of native hits since the session started, from the request to the end of its answer. */
export interface SessionLatencies {
  /** Of those that the page cache answered. */
  readonly memory: LatencyCounts
  /** Of those that store threads answered. */
  readonly disk: LatencyCounts
}

export interface SessionOptions {
  /** Threads that read the device. */
  readonly threads: number
  /** READs are of objects of images, by node id: see native-bindings/wire/object-node.h. By handle when absent. */
  readonly byObject?: boolean
  /**
   * Requests in wire format, each at an offset that is a multiple of 8; the first u32 of each is its length in bytes.
   */
  readonly onRequests: (batch: Uint8Array) => void
  /**
   * Reports of READs that session threads dealt with, see src/fuse/kernel/read-reports.ts. Requests of the same time
   * come first. Null: there are some that may wait for others, to be taken with {@link Session.takeReports}.
   */
  readonly onReports: (batch: Uint8Array | null) => void
  /** The session is over, once: errno 0 after `stop()`, ENODEV after an unmount, else what read(2) said. */
  readonly onEnd: (errno: number) => void
}

/** Threads on one /dev/fuse descriptor, answering READ hits and handing everything else over. */
export interface Session {
  /** From now on READs with this `fh` may be answered from `file`. The session holds a reference. */
  bind(fh: bigint, file: StoreFile): void
  unbind(fh: bigint): void
  /**
   * LOOKUPs of the objects of an image of that size are answered like this one: struct fuse_entry_out of any of them.
   * Only where READs are of objects. @param image the upper half of their node ids. @param entry null: not any more
   */
  setEntry(image: bigint, sizeBytes: number, entry: Uint8Array | null): void
  /**
   * Answer one request: `errno` 0 and bytes (or null for none), or a positive errno. `unique` goes back as it came.
   * @returns 0, or the errno of the write; ENOENT means that the kernel no longer waits for it.
   */
  reply(unique: bigint, errno: number, bytes: Uint8Array | null): number
  /** Write a notification (`code` > 0, unique 0). @returns 0 or the errno of the write. */
  notify(code: number, bytes: Uint8Array | null): number
  /** The reports since the last ones. */
  takeReports(): Uint8Array
  /** May a hit that the page cache does not answer go to a store thread? Otherwise it is handed to TypeScript. */
  deferReads(allowed: boolean): void
  /**
   * Hand over the READs that a store thread has not answered for more than `ms`; its answer is dropped when it comes.
   * @returns how many
   */
  forwardOverdue(ms: number): number
  /**
   * The same of READs that an origin has not answered; their fetches are ended by {@link Engine.abandonFetches}.
   */
  forwardUnanswered(ms: number): number
  /**
   * Let the kernel read `file` by itself, for opens that are answered with the id. Throws EPERM without CAP_SYS_ADMIN
   * and where INIT did not agree on it, ELOOP where the file's system lies on another one.
   */
  openBacking(file: StoreFile): number
  /** The same with the file behind a descriptor, which stays the caller's: the kernel holds the file by itself. */
  openBackingOf(fd: number): number
  /** No open is answered with this id any more; those that were go on. Throws ENOENT of an id that there is not. */
  closeBacking(id: number): void
  /** Close all ids of the connection: an earlier process may have left some. */
  closeBackings(): void
  counters(): SessionCounters
  /**
   * Hits of sampled objects since the last call, five numbers for each: the number of its file, object, the low and the
   * high half of the mask of its blocks, reads. A hot object comes once, with all its blocks; their order is lost.
   */
  takeSamples(): Float64Array
  latencies(): SessionLatencies
  /**
   * Stop the threads; the descriptor stays open and is the caller's. Resolves when no thread uses it. READs that still
   * wait for a store thread after two seconds stay unanswered.
   */
  stop(): Promise<void>
}

/** The store threads, the clock of recency, and what uses them. */
export interface Engine {
  /**
   * Open or create the data file at `path`, exactly `sizeBytes` long (truncated once, when it is new or short; longer
   * is an error EFBIG, and so is more than 2^28 objects, before there is a file), with a table of all zeros. On a store
   * thread: a disk that hangs holds up that one.
   * @param blockBytes a power of two, 4 KiB to 1 MiB
   */
  openFile(path: string, sizeBytes: number, blockBytes: number): Promise<StoreFile>
  /**
   * Lock the pages of the file at `path` in memory until the engine goes, up to `bytesMax` and as far as the process
   * may (RLIMIT_MEMLOCK): readers through a mapping then neither wait for its disk nor get a SIGBUS. To be called again
   * when the file has grown.
   */
  keepInMemory(path: string, bytesMax: number): Promise<LockedFile>
  /**
   * See to it that the file at `path` can be written, and grow by `bytes` (where there is less room: a quarter of that)
   * without more room on its file system. Its size stays. A file system that cannot set room aside is no error.
   */
  reserveAfterEnd(path: string, bytes: number): Promise<void>
  /**
   * The time that the oldest read of a data file has been in the kernel until now, in milliseconds; 0 when there is
   * none.
   */
  readingMs(): number
  startSession(fd: number, options: SessionOptions): Session
  /** The bytes of native fetches. */
  readonly fetchMemory: ArrayBuffer
  /** From now on `listener` is called when native fetches are over: once until {@link takeFetches}. */
  onFetches(listener: () => void): void
  /**
   * The native fetches that are over since the last call, nine numbers for each: its id, the number of its file,
   * object, first block, count of blocks, offset in `fetchMemory`, bytes, microseconds that it took, and 1 when the
   * bytes are right. Fetches that fail are reported when they were joined alone.
   */
  takeFetches(): Float64Array
  /** The blocks of a fetch that came are published, or were dropped: its claim goes. Idempotent. */
  releaseFetch(id: number): void
  /** Nobody looks at the bytes of a fetch that came any more: their memory is used again. */
  freeFetch(id: number): void
  /** Give up native fetches that have been under way for more than `ms`. @returns how many */
  abandonFetches(ms: number): number
  /** Threads on connections of other hosts, whose reads wait for the store threads. */
  createServingFront(limits: ServingFrontLimits, onEvent: ServingFrontListener): ServingFront
  /** The `lastUse` that hits write from now on. */
  setTick(tick: number): void
  /** Hits of objects whose hash is below it are sampled, see {@link Session.takeSamples}; 0: of none. */
  setSampling(below: number): void
  /** End the threads once their queue is empty. Files and sessions must be closed before. */
  close(): Promise<void>
}

export interface Addon extends Libfuse2, Librbd, LogWriters, StreamDecoders, TreeProofs, UnitPermitTables, Unpacker {
  /** crc32c (Castagnoli) of `bytes`, as in RFC 3720: the checksum of a block. */
  crc32c(bytes: Uint8Array): number
  createEngine(options: { readonly storeThreads: number }): Engine
  /** A thread that receives: it keeps no process alive. */
  createReceiver(): RangeReceiver
  /** @param hasReadsRation and `hasBytesRation`: are the reads and the bytes of the origin limited? */
  createGrant(hasReadsRation: boolean, hasBytesRation: boolean): OriginGrant
  /** The readers of one origin's files. */
  createFileReaders(): FileReaders
  /** Open /dev/fuse, close-on-exec. */
  openFuse(): number
  /** mount(2) of type fuse.parentfs; `options` as the kernel reads them, without `fd=`. Needs CAP_SYS_ADMIN. */
  mountFuse(fd: number, source: string, mountpoint: string, options: string): void
  /**
   * Does the file system behind this descriptor of /dev/fuse live? Not once it is unmounted everywhere, or was aborted.
   */
  isFuseConnected(fd: number): boolean
  /** umount2(2). `force` aborts the connection and detaches. */
  unmount(mountpoint: string, force: boolean): void
  /**
   * Open `path` and take an exclusive lock that ends with the process. Throws EWOULDBLOCK when another process has it.
   */
  lockFile(path: string): number
  /**
   * The stretch of data or hole of the file behind `fd` that begins at or before `offset` (within the file) and goes on
   * until `end`, from SEEK_HOLE and SEEK_DATA; a file system without them makes it all data. Moves the descriptor's own
   * offset.
   */
  extentAt(fd: number, offset: number): { readonly hole: boolean; readonly end: number }
  /** A pair of connected stream sockets, close-on-exec. */
  socketPair(): [number, number]
  /** The user who connected to (or made, for a pair) the other end of a Unix socket, as it was then. */
  peerUid(socket: number): number
  sendFd(socket: number, fd: number): void
  /** Wait for a descriptor; throws ECONNRESET when the other side has gone. Blocks the calling thread. */
  receiveFd(socket: number): number
  /**
   * Send one datagram to the Unix socket `name`: a path, or `@` and the name of an abstract one. Blocks the calling
   * thread while the receiver is full, for a second at most (then it throws EAGAIN).
   * @param fd a descriptor that goes with it, and stays open here; or null
   */
  sendDatagram(name: string, text: string, fd: number | null): void
  closeFd(fd: number): void
  /** End this process at once, with this exit code: no thread is waited for, and no listener is called. */
  endProcess(code: number): void
  /**
   * From now on this process leaves no core, and only root may look into its memory or its environment. Its children
   * may, because that ends with the next program.
   */
  forbidDumps(): void
  /**
   * Give memory back to the kernel that the allocator keeps free: some milliseconds for a hundred MiB. Source:
   * malloc_trim(3).
   */
  releaseFreeMemory(): void
  /** The distance from the begin of `bytes` to the next page of memory, in bytes. */
  bytesToPage(bytes: Uint8Array): number
}

/**
 * Load the addon.
 * @throws Error when it is not built, saying how to build it
 */
export function loadAddon(): Addon {
  const path = join(packageRoot(), 'native-bindings', 'build', 'parentfs.node')
  if (!existsSync(path)) throw new Error(`${path} is missing: ${remedy()}`)
  return createRequire(import.meta.url)(path) as Addon
}

/** An installed package has no sources. */
function remedy(): string {
  const isCheckout = existsSync(join(packageRoot(), 'src'))
  return isCheckout ? 'run "make build" first' : 'npm ran no install script: run "npm rebuild --global parentfs"'
}

/** The directory of package.json: compiled files lie at different depths below it. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory)
    if (parent === directory) throw new Error('package.json not found above the addon loader')
    directory = parent
  }
  return directory
}
