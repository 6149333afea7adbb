/**
 * Hole map of an open RBD image: the cluster is asked a region at a time, and the answer is remembered.
 *
 * No read waits for it: until a region is known, its reads go to the cluster, which is as right.
 */
import { SharedRun } from '../../async/shared-run.ts'
import type { CephImage } from '../../native/ceph-types.ts'
import type { OriginExtent } from '../contract/origin.ts'
import { rbdHolesRetryMs, rbdRegionBytes, rbdRegionBytesMapped } from './limits.ts'

/** Bytes [from, to) of an image. */
export interface RbdRange {
  readonly from: number
  readonly to: number
}

interface Region {
  /** Offset, end, offset, end, ascending; null while it is not known. */
  data: Float64Array | null
  readonly asking: SharedRun<Float64Array>
  failedMs: number
}

export class RbdHoles {
  readonly #image: CephImage
  readonly #regionBytes: number
  readonly #confirm: () => Promise<void>
  readonly #nowMs: () => number
  readonly #regions = new Map<number, Region>()

  /**
   * @param confirm throws when the version has gone: then what was said of it is worth nothing
   * @param nowMs a clock that never goes back
   */
  constructor(image: CephImage, confirm: () => Promise<void>, nowMs: () => number = () => performance.now()) {
    this.#image = image
    this.#regionBytes = image.hasObjectMap ? rbdRegionBytesMapped : rbdRegionBytes
    this.#confirm = confirm
    this.#nowMs = nowMs
  }

  /** The parts of [from, to) that may be data, as far as is known now. */
  dataIn(from: number, to: number): RbdRange[] {
    const ranges: RbdRange[] = []
    for (let at = from; at < to; ) {
      const { region, end } = this.#regionAt(at)
      const until = Math.min(to, end)
      if (region.data === null) {
        if (this.#nowMs() >= region.failedMs + rbdHolesRetryMs) void this.#ask(region, at).catch(() => {})
        join(ranges, { from: at, to: until })
      } else {
        for (const range of within(region.data, at, until)) join(ranges, range)
      }
      at = until
    }
    return ranges
  }

  /** The stretch of data or hole at `offset`, which lies within the image; it may go on after its end. */
  async extentAt(offset: number): Promise<OriginExtent> {
    const { region, end } = this.#regionAt(offset)
    const data = region.data ?? (await this.#ask(region, offset))
    const [first] = within(data, offset, end)
    if (first === undefined) return { hole: true, end }
    return first.from > offset ? { hole: true, end: first.from } : { hole: false, end: first.to }
  }

  #regionAt(offset: number): { readonly region: Region; readonly end: number } {
    const number = Math.floor(offset / this.#regionBytes)
    let region = this.#regions.get(number)
    if (region === undefined) {
      region = { data: null, asking: new SharedRun(), failedMs: Number.NEGATIVE_INFINITY }
      this.#regions.set(number, region)
    }
    return { region, end: Math.min(this.#image.sizeBytes, (number + 1) * this.#regionBytes) }
  }

  #ask(region: Region, offset: number): Promise<Float64Array> {
    const from = Math.floor(offset / this.#regionBytes) * this.#regionBytes
    return region.asking.run(() => this.#fetch(region, from))
  }

  async #fetch(region: Region, from: number): Promise<Float64Array> {
    try {
      const data = await this.#image.data(from, Math.min(this.#regionBytes, this.#image.sizeBytes - from), true)
      // Of a snapshot that was deleted meanwhile, all would be holes.
      await this.#confirm()
      region.data = data
      return data
    } catch (error) {
      region.failedMs = this.#nowMs()
      throw error
    }
  }
}

/** The parts of `data` in [from, to). */
function* within(data: Float64Array, from: number, to: number): Generator<RbdRange> {
  for (let k = firstEndingAfter(data, from); k < data.length && data[k]! < to; k += 2) {
    yield { from: Math.max(from, data[k]!), to: Math.min(to, data[k + 1]!) }
  }
}

/** The index of the first stretch whose end lies after `offset`, by halving. */
function firstEndingAfter(data: Float64Array, offset: number): number {
  let [low, high] = [0, data.length / 2]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (data[middle * 2 + 1]! > offset) high = middle
    else low = middle + 1
  }
  return low * 2
}

function join(ranges: RbdRange[], next: RbdRange): void {
  const last = ranges.at(-1)
  if (last !== undefined && last.to === next.from) ranges[ranges.length - 1] = { from: last.from, to: next.to }
  else ranges.push(next)
}
