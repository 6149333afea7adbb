/**
 * Read-ahead buffer: prefetched ranges in RAM. Session threads serve reads from it directly and report the first read
 * of each unit, which the store's hits do not. The reports tell which prefetches paid, and drive the stream detector.
 * Ranges stay until they are on the disk, and for a while longer.
 *
 * Bytes leave when there are too many, or the reader has come to their end; a range leaves when all of it was read, or
 * too late.
 */

import { PeriodicTask } from '../../async/periodic-task.ts'
import { type BlockRun, maskOf } from '../../base/image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { BufferPool, PooledBuffer } from './buffer-pool.ts'
import {
  prefetchBytesMax,
  readaheadBufferBytesMax,
  readaheadBufferMsMax,
  readaheadBufferRangesMax,
  readaheadReadBytesMax,
} from './limits.ts'

/** Hears the outcome of a range. */
export interface PrefetchListener {
  /**
   * Blocks that are reported together: the first read of one reports all of them. Each run below is of so many, or the
   * rest.
   */
  readonly unitBlocks: number
  /** These blocks are being read, for the first time. */
  onRead(run: BlockRun): void
  /** They were not read, or they never came. */
  onUnread(run: BlockRun): void
}

/** A piece of an image that is expected, or here. */
export interface BufferedRange {
  readonly stored: StoredImage
  readonly object: number
  readonly run: BlockRun
  readonly expectation: PrefetchListener
}

/** A range to be reported: one of the first two, once. */
export interface ExpectedRange {
  /** It has come. */
  insert(lease: PooledBuffer): void
  /** It will not. */
  remove(): void
  /** Readers find its bytes elsewhere, as quickly. */
  releaseBytes(): void
  /** Call `then` when its bytes are not here any more: at once where they are not. For one caller. */
  whenGone(then: () => void): void
}

interface Item extends BufferedRange {
  readonly offset: number
  readonly length: number
  /** Blocks of the object in units that have not been read. */
  unreported: bigint
  /** Milliseconds; null until it has come. */
  sinceMs: number | null
  /** Null before its bytes came, and once they were let go. */
  lease: PooledBuffer | null
  /** Hears of that. */
  onGone: () => void
}

export interface ReadaheadBufferContext {
  readonly memory: Pick<BufferPool, 'isScarce'>
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** May bytes of it be served? */
  isSound(stored: StoredImage): boolean
}

export class ReadaheadBuffer {
  readonly #parts: ReadaheadBufferContext
  readonly #byObject = new WeakMap<StoredImage, Map<number, Set<Item>>>()
  /** Those that have come, in that order. */
  readonly #here = new Set<Item>()
  /** Those that have bytes, in the order in which these are let go: what was read to its end comes first. */
  readonly #read = new Set<Item>()
  readonly #unread = new Set<Item>()
  // INVARIANT: usedBytes <= readaheadBufferBytesMax after each change, or there is one piece with bytes.
  #usedBytes = 0
  /** Of pieces that are on their way. */
  #comingBytes = 0
  #readBytes = 0
  readonly #sweeps = new PeriodicTask(readaheadBufferMsMax / 4, () => this.sweep())
  #closed = false

  constructor(parts: ReadaheadBufferContext) {
    this.#parts = parts
  }

  /** Bytes that wait in memory for a reader, or were read just now. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Would so many bytes find room beside the unread ones? */
  hasRoom(bytes: number): boolean {
    return this.#usedBytes - this.#readBytes + bytes <= readaheadBufferBytesMax - readaheadReadBytesMax
  }

  /** A piece is on its way. */
  expect(piece: BufferedRange): ExpectedRange {
    const { stored, object, run } = piece
    const item: Item = {
      ...piece,
      ...stored.geometry.bytesOf(object, run),
      unreported: maskOf(run),
      sinceMs: null,
      lease: null,
      onGone: () => {},
    }
    const objects = this.#byObject.get(stored) ?? new Map<number, Set<Item>>()
    this.#byObject.set(stored, objects)
    const items = objects.get(object) ?? new Set()
    objects.set(object, items)
    // Something of it was here before, and has been evicted since.
    for (const other of items) if ((maskOf(other.run) & item.unreported) !== 0n) this.#leave(other)
    items.add(item)
    objects.set(object, items) // The others may have been the last ones.
    this.#comingBytes += item.length
    const come = (then: () => void) => {
      this.#comingBytes -= item.length
      then()
    }
    return {
      insert: lease => come(() => this.#put(item, lease)),
      remove: () => come(() => this.#leave(item)),
      releaseBytes: () => this.#letGo(item),
      whenGone: then => {
        if (item.lease) item.onGone = then
        else then()
      },
    }
  }

  /** [offset, offset + length), which lies within the image, is being read. */
  touched(stored: StoredImage, offset: number, length: number): void {
    const objects = this.#byObject.get(stored)
    if (!objects || objects.size === 0) return
    for (const { object, blocks } of stored.geometry.parts(offset, length)) {
      for (const item of objects.get(object) ?? []) {
        if ((maskOf(item.run) & blocks) !== 0n) this.#seen(item, blocks, offset + length)
      }
    }
  }

  /** Let those leave that have waited too long. */
  sweep(): void {
    const nowMs = this.#parts.now()
    for (const item of this.#here) {
      if (nowMs - (item.sinceMs ?? nowMs) < readaheadBufferMsMax) return
      this.#leave(item)
    }
  }

  /** Let all leave, also those that come later. Idempotent. */
  close(): void {
    this.#closed = true
    for (const item of this.#here) this.#leave(item)
  }

  #put(item: Item, lease: PooledBuffer): void {
    const { stored, offset } = item
    if (this.#closed || !this.#parts.isSound(stored) || !this.#has(item)) {
      this.#leave(item)
      return
    }
    const { unitBlocks } = item.expectation
    const told = toldUnits(item)
    if (stored.file.insertBuffered(offset, lease.bytes, unitBlocks * stored.geometry.blockBytes, told)) {
      lease.retain()
      item.lease = lease
      this.#unread.add(item)
      this.#usedBytes += lease.bytes.length
    }
    item.sinceMs = this.#parts.now()
    this.#here.add(item)
    this.#sweeps.start()
    for (const oldest of this.#here) {
      if (this.#here.size <= readaheadBufferRangesMax) break
      this.#leave(oldest)
    }
    this.#makeRoom(item)
  }

  /** With much on its way to many readers, less stays: both take of the same memory. */
  #makeRoom(newest: Item): void {
    const bytesMax = Math.max(
      readaheadReadBytesMax,
      Math.min(readaheadBufferBytesMax, prefetchBytesMax - this.#comingBytes),
    )
    for (const item of this.#read) {
      if (this.#usedBytes <= bytesMax && !this.#parts.memory.isScarce) return
      this.#letGo(item)
    }
    for (const item of this.#unread) {
      if (this.#usedBytes <= bytesMax) return
      if (item !== newest) this.#letGo(item)
    }
  }

  #seen(item: Item, blocks: bigint, end: number): void {
    for (const unit of unitsOf(item)) {
      const mask = maskOf(unit)
      if ((item.unreported & mask & blocks) === 0n) continue
      item.unreported &= ~mask
      item.expectation.onRead(unit)
    }
    if (end < item.offset + item.length || !item.lease || !this.#unread.delete(item)) return
    this.#read.add(item)
    this.#readBytes += item.length
    // Others may follow closely.
    for (const oldest of this.#read) {
      if (this.#readBytes <= readaheadReadBytesMax) break
      if (oldest.unreported === 0n) this.#leave(oldest)
      else this.#letGo(oldest)
    }
  }

  /** Its memory is wanted elsewhere; reads of it are told as before. */
  #letGo(item: Item): void {
    const { stored, offset, lease } = item
    if (!lease) return
    stored.file.releaseBuffered(offset)
    this.#forgetBytes(item, lease)
  }

  #leave(item: Item): void {
    const { stored, object, offset, lease, expectation } = item
    const objects = this.#byObject.get(stored)
    const items = objects?.get(object)
    if (!items?.delete(item)) return
    if (items.size === 0) objects?.delete(object)
    this.#here.delete(item)
    if (this.#here.size === 0) this.#sweeps.stop()
    if (item.sinceMs !== null) stored.file.removeBuffered(offset)
    if (lease) this.#forgetBytes(item, lease)
    for (const unit of unitsOf(item)) if ((item.unreported & maskOf(unit)) !== 0n) expectation.onUnread(unit)
  }

  #forgetBytes(item: Item, lease: PooledBuffer): void {
    if (this.#read.delete(item)) this.#readBytes -= item.length
    this.#unread.delete(item)
    this.#usedBytes -= lease.bytes.length
    item.lease = null
    lease.release()
    item.onGone()
  }

  #has(item: Item): boolean {
    return this.#byObject.get(item.stored)?.get(item.object)?.has(item) ?? false
  }
}

/** The units of a piece: runs of its blocks. */
function unitsOf({ run, expectation: { unitBlocks } }: BufferedRange): BlockRun[] {
  if (unitBlocks >= run.count) return [run]
  return Array.from({ length: Math.ceil(run.count / unitBlocks) }, (_, k) => ({
    first: run.first + k * unitBlocks,
    count: Math.min(unitBlocks, run.count - k * unitBlocks),
  }))
}

/** Bit k: unit k was read before it came. */
function toldUnits(item: Item): bigint {
  return unitsOf(item).reduce(
    (mask, unit, k) => ((item.unreported & maskOf(unit)) === 0n ? mask | (1n << BigInt(k)) : mask),
    0n,
  )
}
