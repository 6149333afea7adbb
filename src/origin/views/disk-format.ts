/**
 * Disk format: the map from places of a disk to places of the file that it is packed in. qcow2 and VMDK are two.
 */
import type { Packing } from '../../native/unpacker.ts'
import type { ReadOptions } from '../contract/origin.ts'
import { tablePageBytesMax, tablePageBytesMin } from './limits.ts'
import type { PackedFile } from './packed-file.ts'

/** A stretch of the disk. Those of a map follow each other without a gap. */
export interface DiskStretch {
  /** Zeros; bytes as they are; or one whole cluster, cut at the end of the disk, that has to be unpacked. */
  readonly kind: 'hole' | 'plain' | 'packed'
  /** On the disk. */
  readonly offset: number
  readonly length: number
  /** In the file; 0 for a hole. */
  readonly at: number
  /** Of the file: as many as `length` for plain ones; for packed ones those that the cluster may have. */
  readonly storedBytes: number
}

/** A place of a stream within the bytes of a packed stretch. */
export interface StreamPlace {
  readonly begin: number
  readonly length: number
}

export interface DiskFormat {
  readonly sizeBytes: number
  /** A power of two: stretches that are packed begin at a multiple of it. */
  readonly clusterBytes: number
  /** Bytes of disk that one table describes. */
  readonly tableSpanBytes: number
  readonly packing: Packing
  /** The last cluster may end with the disk. */
  readonly mayEndEarly: boolean
  /**
   * The stretches of `length` bytes at `offset`, which lie on the disk.
   * @throws CacheError origin-protocol for entries that make no sense, and what the origin throws
   */
  map(offset: number, length: number, options: ReadOptions): Promise<DiskStretch[]>
  /** The place of the stream in the bytes of a packed stretch. @throws CacheError origin-protocol */
  streamIn(stored: Uint8Array, stretch: DiskStretch): StreamPlace
}

/** Opens the packed disk in a file. @throws CacheError origin-unsupported, origin-protocol */
export type OpenDisk = (file: PackedFile, options: ReadOptions) => Promise<DiskFormat>

/** Adds a stretch at the end of `stretches`; one that goes on where the last one ends becomes part of it. */
export function addStretch(stretches: DiskStretch[], stretch: DiskStretch): void {
  const last = stretches.at(-1)
  const goesOn = last?.kind === stretch.kind && stretch.kind !== 'packed'
  if (!goesOn || (stretch.kind === 'plain' && last.at + last.storedBytes !== stretch.at)) {
    stretches.push(stretch)
    return
  }
  const storedBytes = last.storedBytes + stretch.storedBytes
  stretches[stretches.length - 1] = { ...last, length: last.length + stretch.length, storedBytes }
}

/** The parts of stretches in [from, to); a packed stretch is there whole or not at all. */
export function cutStretches(stretches: readonly DiskStretch[], from: number, to: number): DiskStretch[] {
  const cut: DiskStretch[] = []
  for (const stretch of stretches) {
    const begin = Math.max(from, stretch.offset)
    const length = Math.min(to, stretch.offset + stretch.length) - begin
    if (length <= 0) continue
    if (stretch.kind === 'packed') cut.push(stretch)
    else if (stretch.kind === 'hole') cut.push({ ...stretch, offset: begin, length })
    else cut.push({ ...stretch, offset: begin, length, at: stretch.at + begin - stretch.offset, storedBytes: length })
  }
  return cut
}

/** The size in which tables of so many bytes are read. */
export function tablePageBytesFor(tableBytes: number): number {
  return Math.min(tablePageBytesMax, Math.max(tablePageBytesMin, tableBytes))
}
