/**
 * Disk reader: the bytes of a packed disk. Plain clusters are read into their place. A unit with a packed cluster is
 * unpacked whole, by requests that bring neighbours along.
 */
import type { Unpacker } from '../../native/unpacker.ts'
import { pieceNumbers } from '../../native/unpacker.ts'
import type { OriginExtent, ReadOptions } from '../contract/origin.ts'
import { cutPieces, type DiskFormat, type DiskPiece } from './disk-format.ts'
import { extentEntriesMax, extentStepsMax, gapBytesMax, requestBytesMax, requestsMax, unitBytesMin } from './limits.ts'
import type { PackedFile } from './packed-file.ts'
import type { Units, UnpackedUnits } from './unpacked-units.ts'

/** Places of the file that one request asks for. */
interface Request {
  readonly at: number
  readonly bytes: number
  readonly pieces: readonly DiskPiece[]
}

export class DiskReader {
  readonly disk: DiskFormat
  readonly #file: PackedFile
  readonly #units: UnpackedUnits
  readonly #unpacker: Unpacker
  readonly #unitBytes: number

  constructor(file: PackedFile, disk: DiskFormat, units: UnpackedUnits, unpacker: Unpacker) {
    this.disk = disk
    this.#file = file
    this.#units = units
    this.#unpacker = unpacker
    this.#unitBytes = Math.max(unitBytesMin, disk.clusterBytes)
  }

  /** The bytes at `offset`, which lie on the disk. After a throw nothing is written into `target` any more. */
  async read(offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const end = offset + target.length
    const first = Math.floor(offset / this.#unitBytes)
    const last = Math.floor((end - 1) / this.#unitBytes)
    const pieces = await this.#map(first, last, options)
    const packed = pieces.filter(({ kind }) => kind === 'packed')
    const numbers = [...new Set(packed.map(piece => Math.floor(piece.offset / this.#unitBytes)))]
    const work = [() => this.#readUnits(numbers, pieces, offset, target, options)]
    for (const [from, to] of this.#rangesWithout(numbers, offset, end)) {
      for (const piece of cutPieces(pieces, from, to)) {
        const place = target.subarray(piece.offset - offset, piece.offset - offset + piece.length)
        if (piece.kind === 'hole') place.fill(0)
        else work.push(() => this.#readPlain(piece, place, options))
      }
    }
    const wereRead = await runAll(work, requestsMax)
    // Bytes from memory are right, but a version that has gone has to be noticed.
    if (!wereRead.includes(true)) await this.#file.confirm(options)
  }

  /** Looks at a bounded number of entries: an extent may end before the next one is of the other kind. */
  async extentAt(offset: number, options: ReadOptions): Promise<OriginExtent> {
    const { sizeBytes, clusterBytes, tableSpanBytes } = this.disk
    const stepBytes = Math.min(tableSpanBytes, extentEntriesMax * clusterBytes)
    let hole: boolean | null = null
    let end = offset
    for (let step = 0; step < extentStepsMax && end < sizeBytes; step++) {
      const length = Math.min(stepBytes - (end % stepBytes), sizeBytes - end)
      // Of a packed piece all is known by its cluster.
      const from = Math.floor(end / clusterBytes) * clusterBytes
      for (const piece of await this.disk.map(from, end + length - from, options)) {
        hole ??= piece.kind === 'hole'
        if ((piece.kind === 'hole') !== hole) return { hole, end: piece.offset }
      }
      end += length
    }
    return { hole: hole ?? false, end }
  }

  #map(first: number, last: number, options: ReadOptions): Promise<DiskPiece[]> {
    const from = first * this.#unitBytes
    const to = Math.min((last + 1) * this.#unitBytes, this.disk.sizeBytes)
    return this.disk.map(from, to - from, options)
  }

  /** The parts of [from, to) that lie in none of the units. */
  #rangesWithout(numbers: readonly number[], from: number, to: number): [number, number][] {
    const ranges: [number, number][] = []
    let at = from
    for (const number of numbers) {
      if (number * this.#unitBytes > at) ranges.push([at, number * this.#unitBytes])
      at = (number + 1) * this.#unitBytes
    }
    if (at < to) ranges.push([at, to])
    return ranges
  }

  /** @returns true: the inner origin was asked */
  async #readPlain({ at }: DiskPiece, target: Uint8Array, options: ReadOptions): Promise<true> {
    await this.#file.fill(at, target, options)
    return true
  }

  /** @returns true when the inner origin was asked */
  async #readUnits(
    numbers: readonly number[],
    pieces: readonly DiskPiece[],
    offset: number,
    target: Uint8Array,
    options: ReadOptions,
  ): Promise<boolean> {
    if (numbers.length === 0) return false
    const unpack = (some: readonly number[], shared: ReadOptions) => this.#unpack(some, pieces, shared)
    const wanted = { disk: this.#file.image.id, unitBytes: this.#unitBytes, numbers, unpack }
    const { units, isFresh } = await this.#units.get(wanted, options)
    for (const number of numbers) {
      const begin = number * this.#unitBytes
      const from = Math.max(offset, begin)
      const to = Math.min(offset + target.length, begin + this.#unitBytes)
      target.set(units.get(number)!.subarray(from - begin, to - begin), from - offset)
    }
    return isFresh
  }

  /** Fetch and unpack units whose numbers follow each other. */
  async #unpack(numbers: readonly number[], pieces: readonly DiskPiece[], options: ReadOptions): Promise<Units> {
    const units = new Map(numbers.map(number => [number, Buffer.alloc(this.#unitBytes)]))
    const from = numbers[0]! * this.#unitBytes
    const wanted = cutPieces(pieces, from, from + numbers.length * this.#unitBytes).flatMap(piece =>
      piece.kind === 'plain' ? this.#atUnits(piece) : piece.kind === 'packed' ? [piece] : [],
    )
    const fetches = requestsFor(wanted).map(request => async () => {
      const bytes = await this.#file.bytes(request.at, request.bytes, options)
      await this.#place(request, bytes, units)
    })
    await runAll(fetches, requestsMax)
    return units
  }

  /** A plain piece, cut at the borders of units. */
  #atUnits(piece: DiskPiece): DiskPiece[] {
    const cut: DiskPiece[] = []
    for (let at = piece.offset; at < piece.offset + piece.length; ) {
      const end = (Math.floor(at / this.#unitBytes) + 1) * this.#unitBytes
      cut.push(...cutPieces([piece], at, end))
      at = end
    }
    return cut
  }

  /** Put the pieces of a request into their units: those of one unit by one call of the unpacker. */
  async #place({ at, pieces }: Request, bytes: Buffer, units: ReadonlyMap<number, Buffer>): Promise<void> {
    const streams = new Map<number, number[]>()
    for (const piece of pieces) {
      const number = Math.floor(piece.offset / this.#unitBytes)
      const begin = piece.offset - number * this.#unitBytes
      const stored = bytes.subarray(piece.at - at, piece.at - at + piece.storedBytes)
      if (piece.kind === 'plain') {
        units.get(number)!.set(stored, begin)
        continue
      }
      const stream = this.disk.streamIn(stored, piece)
      const numbers = streams.get(number) ?? []
      numbers.push(piece.at - at + stream.begin, stream.length, begin, this.disk.clusterBytes, this.#bytesMinOf(piece))
      streams.set(number, numbers)
    }
    await Promise.all(
      [...streams].map(async ([number, list]) => {
        const target = units.get(number)!
        const bad = await this.#unpacker.unpack(this.disk.packing, bytes, Uint32Array.from(list), target)
        if (bad < 0) return
        const cluster = number * this.#unitBytes + list[bad * pieceNumbers + 2]!
        throw this.#file.damaged(`the cluster at ${cluster} of its disk cannot be unpacked`)
      }),
    )
  }

  /** A cluster is whole, but for the last one of a VMDK, which may end with the disk. */
  #bytesMinOf({ length }: DiskPiece): number {
    return this.disk.mayEndEarly ? length : this.disk.clusterBytes
  }
}

/** Requests for pieces, in the order of the file: those that are near each other are asked for together. */
function requestsFor(pieces: readonly DiskPiece[]): Request[] {
  const requests: { at: number; bytes: number; pieces: DiskPiece[] }[] = []
  for (const piece of [...pieces].sort((a, b) => a.at - b.at)) {
    const last = requests.at(-1)
    const end = piece.at + piece.storedBytes
    const isNear = last && piece.at <= last.at + last.bytes + gapBytesMax
    if (isNear && Math.max(end, last.at + last.bytes) - last.at <= requestBytesMax) {
      last.bytes = Math.max(last.bytes, end - last.at)
      last.pieces.push(piece)
    } else requests.push({ at: piece.at, bytes: piece.storedBytes, pieces: [piece] })
  }
  return requests
}

/**
 * Run all, some at once. After a failure no more are begun; it is thrown once those under way have ended, because they
 * write into the memory of the caller.
 */
async function runAll<T>(work: readonly (() => Promise<T>)[], atOnceMax: number): Promise<T[]> {
  const results: T[] = []
  let next = 0
  let failure: { readonly error: unknown } | null = null
  const run = async () => {
    while (next < work.length && failure === null) {
      const index = next++
      try {
        results[index] = await work[index]!()
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnceMax, work.length) }, run))
  if (failure !== null) throw (failure as { readonly error: unknown }).error
  return results
}
