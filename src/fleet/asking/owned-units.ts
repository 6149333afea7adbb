/**
 * Owned units: the ranges of an image whose units belong to this host, neighbours together.
 */
import { TimeSlice } from '../../async/time-slice.ts'
import type { Image } from '../../base/image.ts'
import type { GroupView } from '../group/group-view.ts'
import { unitBlocks } from '../wire/wire.ts'

/** Bytes [from, to) of an image. */
export interface OwnedRange {
  readonly from: number
  readonly to: number
}

/** Yields now and then: an image of a terabyte has a million units. */
export async function ownedRanges(
  { id, sizeBytes }: Pick<Image, 'id' | 'sizeBytes'>,
  view: Pick<GroupView, 'owns'>,
  blockBytes: number,
): Promise<OwnedRange[]> {
  const unitBytes = unitBlocks * blockBytes
  const ranges: { from: number; to: number }[] = []
  const turns = new TimeSlice(64)
  for (let unit = 0; unit * unitBytes < sizeBytes; unit++) {
    if (turns.isOver) await turns.yield()
    if (!view.owns(id, unit)) continue
    const [from, to] = [unit * unitBytes, Math.min(sizeBytes, (unit + 1) * unitBytes)]
    const last = ranges.at(-1)
    if (last?.to === from) last.to = to
    else ranges.push({ from, to })
  }
  return ranges
}
