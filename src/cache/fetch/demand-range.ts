/**
 * Demand range of an extent: the bytes that a reader waits for come first, the remainder later. Both go into one
 * buffer, so that the extent is promoted like any other, and no byte is fetched twice.
 */
import { demandShareMax, demandUnitBytes } from './limits.ts'

/** Bytes [offset, offset + length) of the image. */
export interface DemandRange {
  readonly offset: number
  readonly length: number
}

/** Bytes of the image that are here already. */
export interface ReceivedPart extends DemandRange {
  readonly bytes: Uint8Array
}

/** The part of an extent that comes first. */
export interface FirstPart extends DemandRange {
  readonly arrival: Promise<Uint8Array>
}

/** The part of `extent` to fetch first for a reader that wants `asked`; null when that is most of it, or nothing. */
export function demandRange(extent: DemandRange, asked: DemandRange): DemandRange | null {
  const end = extent.offset + extent.length
  const from = Math.max(extent.offset, Math.floor(asked.offset / demandUnitBytes) * demandUnitBytes)
  const to = Math.min(end, Math.ceil((asked.offset + asked.length) / demandUnitBytes) * demandUnitBytes)
  return to <= from || to - from > extent.length * demandShareMax ? null : { offset: from, length: to - from }
}

/** The remainder of `extent` without `early`: the parts before it and after it. */
export function remainderOf(extent: DemandRange, early: DemandRange): DemandRange[] {
  const earlyEnd = early.offset + early.length
  return [
    { offset: extent.offset, length: early.offset - extent.offset },
    { offset: earlyEnd, length: extent.offset + extent.length - earlyEnd },
  ].filter(({ length }) => length > 0)
}

/** Does `early` have all that a reader of `asked` wants of `extent`? */
export function hasAll(early: DemandRange, extent: DemandRange, asked: DemandRange): boolean {
  const from = Math.max(extent.offset, asked.offset)
  const to = Math.min(extent.offset + extent.length, asked.offset + asked.length)
  return early.offset <= from && early.offset + early.length >= to
}
