/**
 * Disk reader: the bytes of a packed disk. Plain clusters are read into their place. A unit with a packed cluster is
 * unpacked whole, by requests that bring neighbours along.
 */
import type { Unpacker } from '../../native/unpacker.ts'
import { streamNumbers } from '../../native/unpacker.ts'
import type { OriginExtent, ReadOptions } from '../contract/origin.ts'
import { cutStretches, type DiskFormat, type DiskStretch } from './disk-format.ts'
import { extentEntriesMax, extentStepsMax, gapBytesMax, requestBytesMax, requestsMax, unitBytesMin } from './limits.ts'
import type { PackedFile } from './packed-file.ts'
import type { Units, UnpackedUnits } from './unpacked-units.ts'

/** Places of the file that one request asks for. */
interface Request {
  readonly at: number
  readonly bytes: number
  readonly stretches: readonly DiskStretch[]
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
    const stretches = await this.#map(first, last, options)
    const packed = stretches.filter(({ kind }) => kind === 'packed')
    const numbers = [...new Set(packed.map(stretch => Math.floor(stretch.offset / this.#unitBytes)))]
    const work = [() => this.#readUnits(numbers, stretches, offset, target, options)]
    for (const [from, to] of this.#rangesWithout(numbers, offset, end)) {
      for (const stretch of cutStretches(stretches, from, to)) {
        const place = target.subarray(stretch.offset - offset, stretch.offset - offset + stretch.length)
        if (stretch.kind === 'hole') place.fill(0)
        else work.push(() => this.#readPlain(stretch, place, options))
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
      // Of a packed stretch all is known by its cluster.
      const from = Math.floor(end / clusterBytes) * clusterBytes
      for (const stretch of await this.disk.map(from, end + length - from, options)) {
        hole ??= stretch.kind === 'hole'
        if ((stretch.kind === 'hole') !== hole) return { hole, end: stretch.offset }
      }
      end += length
    }
    return { hole: hole ?? false, end }
  }

  #map(first: number, last: number, options: ReadOptions): Promise<DiskStretch[]> {
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
  async #readPlain({ at }: DiskStretch, target: Uint8Array, options: ReadOptions): Promise<true> {
    await this.#file.fill(at, target, options)
    return true
  }

  /** @returns true when the inner origin was asked */
  async #readUnits(
    numbers: readonly number[],
    stretches: readonly DiskStretch[],
    offset: number,
    target: Uint8Array,
    options: ReadOptions,
  ): Promise<boolean> {
    if (numbers.length === 0) return false
    const unpack = (some: readonly number[], shared: ReadOptions) => this.#unpack(some, stretches, shared)
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
  async #unpack(numbers: readonly number[], stretches: readonly DiskStretch[], options: ReadOptions): Promise<Units> {
    const units = new Map(numbers.map(number => [number, Buffer.alloc(this.#unitBytes)]))
    const from = numbers[0]! * this.#unitBytes
    const wanted = cutStretches(stretches, from, from + numbers.length * this.#unitBytes).flatMap(stretch =>
      stretch.kind === 'plain' ? this.#atUnits(stretch) : stretch.kind === 'packed' ? [stretch] : [],
    )
    const fetches = requestsFor(wanted).map(request => async () => {
      const bytes = await this.#file.bytes(request.at, request.bytes, options)
      await this.#place(request, bytes, units)
    })
    await runAll(fetches, requestsMax)
    return units
  }

  /** A plain stretch, cut at the borders of units. */
  #atUnits(stretch: DiskStretch): DiskStretch[] {
    const cut: DiskStretch[] = []
    for (let at = stretch.offset; at < stretch.offset + stretch.length; ) {
      const end = (Math.floor(at / this.#unitBytes) + 1) * this.#unitBytes
      cut.push(...cutStretches([stretch], at, end))
      at = end
    }
    return cut
  }

  /** Put the stretches of a request into their units: those of one unit by one call of the unpacker. */
  async #place({ at, stretches }: Request, bytes: Buffer, units: ReadonlyMap<number, Buffer>): Promise<void> {
    const streams = new Map<number, number[]>()
    for (const stretch of stretches) {
      const number = Math.floor(stretch.offset / this.#unitBytes)
      const begin = stretch.offset - number * this.#unitBytes
      const stored = bytes.subarray(stretch.at - at, stretch.at - at + stretch.storedBytes)
      if (stretch.kind === 'plain') {
        units.get(number)!.set(stored, begin)
        continue
      }
      const stream = this.disk.streamIn(stored, stretch)
      const numbers = streams.get(number) ?? []
      numbers.push(
        stretch.at - at + stream.begin,
        stream.length,
        begin,
        this.disk.clusterBytes,
        this.#bytesMinOf(stretch),
      )
      streams.set(number, numbers)
    }
    await Promise.all(
      [...streams].map(async ([number, list]) => {
        const target = units.get(number)!
        const bad = await this.#unpacker.unpack(this.disk.packing, bytes, Uint32Array.from(list), target)
        if (bad < 0) return
        const cluster = number * this.#unitBytes + list[bad * streamNumbers + 2]!
        throw this.#file.damaged(`the cluster at ${cluster} of its disk cannot be unpacked`)
      }),
    )
  }

  /** A cluster is whole, but for the last one of a VMDK, which may end with the disk. */
  #bytesMinOf({ length }: DiskStretch): number {
    return this.disk.mayEndEarly ? length : this.disk.clusterBytes
  }
}

/** Requests for stretches, in the order of the file: those that are near each other are asked for together. */
function requestsFor(stretches: readonly DiskStretch[]): Request[] {
  const requests: { at: number; bytes: number; stretches: DiskStretch[] }[] = []
  for (const stretch of [...stretches].sort((a, b) => a.at - b.at)) {
    const last = requests.at(-1)
    const end = stretch.at + stretch.storedBytes
    const isNear = last && stretch.at <= last.at + last.bytes + gapBytesMax
    if (isNear && Math.max(end, last.at + last.bytes) - last.at <= requestBytesMax) {
      last.bytes = Math.max(last.bytes, end - last.at)
      last.stretches.push(stretch)
    } else requests.push({ at: stretch.at, bytes: stretch.storedBytes, stretches: [stretch] })
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
