/**
 * The ceiling: the bytes that the cache directory takes, and the reservations of those who write more.
 *
 * Four numbers make `usedBytes`. `#landedBytes` are blocks that we wrote, by our own count; `#pendingBytes` are
 * reserved and perhaps half written; `#leavingBytes` are being punched; `#overheadBytes` is what the last measurement
 * of the disk showed beyond the landed bytes: the index, directories, extent trees, orphans. Bytes on their way in or
 * out during a measurement may be counted twice until the next one, and are never missed.
 */
import { freeShareMin, highWatermarkDefault, keptBackBytes, keptBackShare, lowWatermarkDefault } from './limits.ts'

/** A measurement of the disk, in bytes. */
export interface DiskUsage {
  /** st_blocks of everything in the cache directory. */
  readonly allocatedBytes: number
  /** Free on the file system, and its size. */
  readonly freeBytes: number
  readonly totalBytes: number
}

/**
 * The bytes that one landed run may take beyond its own until its commit was measured: a leaf of 4 KiB in each of
 * `residency` and `sums`, and the blocks that XFS sets aside for the extent tree of a write that it has not allocated
 * yet. Source: Linux fs/xfs/libxfs/xfs_bmap.c, xfs_bmap_worst_indlen: one block a level of the tree; up to 5 for small
 * files.
 */
export const overheadBytesPerEntry = (2 + 5) * 4096

/** Shares of what may be used, and of the file system. */
export interface Watermarks {
  /** Eviction starts over `high` and stops under `low`, of the usable capacity. */
  readonly high: number
  readonly low: number
  /** This much of the file system stays free. */
  readonly free: number
}

const watermarksDefault: Watermarks = { high: highWatermarkDefault, low: lowWatermarkDefault, free: freeShareMin }

export class Capacity {
  #capacityBytes: number
  #watermarks: Watermarks
  // INVARIANT: usedBytes <= usableBytes when a reservation is granted; for one that is needed, halfway to
  // capacityBytes.
  #landedBytes = 0
  #pendingBytes = 0
  /** The part of those whose writes have ended. */
  #unmeasuredBytes = 0
  #leavingBytes = 0
  #overheadBytes = 0
  #disk: DiskUsage | null = null
  /** Reserved since the disk was measured: what its free space does not know of yet. */
  #reservedSinceBytes = 0
  #refused = 0
  /** A reservation was refused since the last measurement: eviction starts below the high watermark too. */
  #isShort = false

  constructor(capacityBytes: number, watermarks: Watermarks = watermarksDefault) {
    this.#capacityBytes = capacityBytes
    this.#watermarks = watermarks
  }

  get capacityBytes(): number {
    return this.#capacityBytes
  }

  /** Set another ceiling. Lower than what is used: nothing is granted until eviction has made room. */
  resize(capacityBytes: number): void {
    this.#capacityBytes = capacityBytes
  }

  /** Set other watermarks; what is over them now goes at the next eviction. */
  setWatermarks(watermarks: Watermarks): void {
    this.#watermarks = watermarks
  }

  /** The usable bytes: capacity less the reserve. */
  get usableBytes(): number {
    return Math.floor(this.#capacityBytes * (1 - keptBackShare)) - keptBackBytes
  }

  get highBytes(): number {
    return Math.floor(this.usableBytes * this.#watermarks.high)
  }

  get lowBytes(): number {
    return Math.floor(this.usableBytes * this.#watermarks.low)
  }

  get usedBytes(): number {
    return this.#landedBytes + this.#pendingBytes + this.#leavingBytes + this.#overheadBytes
  }

  /** Reservations that were refused. */
  get refused(): number {
    return this.#refused
  }

  /** Bytes to free until the low watermark is reached; 0 while the high one is not. */
  get excessBytes(): number {
    const lackingFree = this.#lackingFreeBytes()
    // Without what is pending: most of that is set aside for a moment, and nothing is worth evicting for it.
    const settledBytes = this.#landedBytes + this.#overheadBytes
    const isOver = settledBytes > this.highBytes || this.#isShort
    const excess = isOver ? Math.max(0, settledBytes - this.lowBytes) : 0
    return Math.max(excess, lackingFree)
  }

  /** Would that much be granted now? */
  fits(bytes: number): boolean {
    return this.usedBytes + bytes <= this.usableBytes && bytes <= this.#marginBytes()
  }

  /**
   * Nothing is written that was not reserved.
   * @param isNeeded may take half of what is kept back: data without it would be of no use
   * @returns false when it does not fit
   */
  reserve(bytes: number, isNeeded = false): boolean {
    const needed = () => isNeeded && this.usedBytes + bytes <= (this.usableBytes + this.#capacityBytes) / 2
    if (!this.fits(bytes) && !needed()) {
      this.#refused++
      this.#isShort = true
      return false
    }
    this.#pendingBytes += bytes
    this.#reservedSinceBytes += bytes
    return true
  }

  /** A reservation ended: `landedBytes` of it are on disk now, the rest was not needed. */
  settle(reservedBytes: number, landedBytes: number): void {
    this.#pendingBytes -= reservedBytes
    this.#landedBytes += landedBytes
  }

  /**
   * Landed bytes are punched by `punch`: until that has ended it is unknown which of them the disk still shows.
   * @throws whatever `punch` does: then they are landed as before
   */
  async release(bytes: number, punch: () => Promise<unknown>): Promise<void> {
    this.#landedBytes -= bytes
    this.#leavingBytes += bytes
    try {
      await punch()
    } catch (error) {
      this.#landedBytes += bytes
      throw error
    } finally {
      this.#leavingBytes -= bytes
    }
  }

  /** Another reservation ended: what it took is overhead, and stays reserved until the disk has been measured. */
  settleWhenMeasured(reservedBytes: number): void {
    this.#unmeasuredBytes += reservedBytes
  }

  /** Blocks found at boot. */
  adopt(bytes: number): void {
    this.#landedBytes += bytes
  }

  measured(disk: DiskUsage): void {
    this.#disk = disk
    this.#isShort = false
    this.#pendingBytes -= this.#unmeasuredBytes
    this.#unmeasuredBytes = 0
    this.#reservedSinceBytes = this.#pendingBytes
    this.#overheadBytes = Math.max(0, disk.allocatedBytes - this.#landedBytes)
  }

  /** Bytes that the file system lacks of the share that stays free: eviction must give them back. */
  #lackingFreeBytes(): number {
    if (!this.#disk) return 0
    return Math.max(0, this.#disk.totalBytes * this.#watermarks.free + this.#reservedSinceBytes - this.#disk.freeBytes)
  }

  /** Bytes that may still be written before the file system reaches that share. */
  #marginBytes(): number {
    if (!this.#disk) return Number.POSITIVE_INFINITY
    return Math.max(0, this.#disk.freeBytes - this.#disk.totalBytes * this.#watermarks.free - this.#reservedSinceBytes)
  }
}
