/**
 * Disk format: the map from places of a disk to places of the file that it is packed in. qcow2 and VMDK are two.
 */
import type { Packing } from '../../native/unpacker.ts'
import type { ReadOptions } from '../contract/origin.ts'
import { tablePageBytesMax, tablePageBytesMin } from './limits.ts'
import type { PackedFile } from './packed-file.ts'

/** A stretch of the disk. Those of a map follow each other without a gap. */
export interface DiskPiece {
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

/** A place of a stream within the bytes of a packed piece. */
export interface StreamPlace {
  readonly begin: number
  readonly length: number
}

export interface DiskFormat {
  readonly sizeBytes: number
  /** A power of two: pieces that are packed begin at a multiple of it. */
  readonly clusterBytes: number
  /** Bytes of disk that one table describes. */
  readonly tableSpanBytes: number
  readonly packing: Packing
  /** The last cluster may end with the disk. */
  readonly mayEndEarly: boolean
  /**
   * The pieces of `length` bytes at `offset`, which lie on the disk.
   * @throws CacheError origin-protocol for entries that make no sense, and what the origin throws
   */
  map(offset: number, length: number, options: ReadOptions): Promise<DiskPiece[]>
  /** The place of the stream in the bytes of a packed piece. @throws CacheError origin-protocol */
  streamIn(stored: Uint8Array, piece: DiskPiece): StreamPlace
}

/** Opens the packed disk in a file. @throws CacheError origin-unsupported, origin-protocol */
export type OpenDisk = (file: PackedFile, options: ReadOptions) => Promise<DiskFormat>

/** Adds a piece at the end of `pieces`; one that goes on where the last one ends becomes part of it. */
export function addPiece(pieces: DiskPiece[], piece: DiskPiece): void {
  const last = pieces.at(-1)
  const goesOn = last?.kind === piece.kind && piece.kind !== 'packed'
  if (!goesOn || (piece.kind === 'plain' && last.at + last.storedBytes !== piece.at)) {
    pieces.push(piece)
    return
  }
  const storedBytes = last.storedBytes + piece.storedBytes
  pieces[pieces.length - 1] = { ...last, length: last.length + piece.length, storedBytes }
}

/** The parts of pieces in [from, to); a packed piece is there whole or not at all. */
export function cutPieces(pieces: readonly DiskPiece[], from: number, to: number): DiskPiece[] {
  const cut: DiskPiece[] = []
  for (const piece of pieces) {
    const begin = Math.max(from, piece.offset)
    const length = Math.min(to, piece.offset + piece.length) - begin
    if (length <= 0) continue
    if (piece.kind === 'packed') cut.push(piece)
    else if (piece.kind === 'hole') cut.push({ ...piece, offset: begin, length })
    else cut.push({ ...piece, offset: begin, length, at: piece.at + begin - piece.offset, storedBytes: length })
  }
  return cut
}

/** The size in which tables of so many bytes are read. */
export function tablePageBytesFor(tableBytes: number): number {
  return Math.min(tablePageBytesMax, Math.max(tablePageBytesMin, tableBytes))
}
