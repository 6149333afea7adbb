/** Temperatures of images: how much of each was used in how many of the last periods, by the hit sets of its origin. */
import { Geometry } from '../../base/image.ts'
import type { ImageEntry } from '../../index/index-database.ts'
import type { Store } from '../../store/store.ts'
import type { HitSetStatus, HitSetTable } from '../evict/hit-set-table.ts'
import type { CacheOperationsContext } from './operations.ts'

export interface ImageTemperature {
  readonly name: string
  readonly sizeBytes: number
  /** Of whole objects: those in no hit set first, then those in one, and so on. */
  readonly bytesByPeriods: readonly number[]
}

export interface Temperatures {
  /** Hit sets of each origin, by the directory that shows its images; null is the root. */
  readonly origins: readonly (HitSetStatus & { readonly name: string | null })[]
  readonly images: readonly ImageTemperature[]
}

export async function imageTemperatures(
  known: readonly { readonly name: string; readonly entry: ImageEntry }[],
  parts: Pick<CacheOperationsContext, 'origins'> & { readonly store: Store; readonly hitSets: HitSetTable },
): Promise<Temperatures> {
  const { origins, store, hitSets } = parts
  await hitSets.enterUses()
  const images: ImageTemperature[] = []
  for (const {
    name,
    entry: { image },
  } of known) {
    const { objects, objectBytes } = new Geometry(image.sizeBytes, store.blockBytes)
    const counts = await hitSets.temperatures(image, objects)
    const bytesByPeriods = counts.map(count => count * objectBytes)
    // The last object may be shorter: the coldest have the difference, as zeros and ends of disks are seldom read.
    const coldest = counts.findIndex(count => count > 0)
    if (coldest >= 0) bytesByPeriods[coldest]! -= objects * objectBytes - image.sizeBytes
    images.push({ name, sizeBytes: image.sizeBytes, bytesByPeriods })
  }
  const statuses = origins.flatMap(({ directory: name, origin: { url } }) => {
    const status = hitSets.status(url)
    return status ? [{ name, ...status }] : []
  })
  return { origins: statuses, images }
}
