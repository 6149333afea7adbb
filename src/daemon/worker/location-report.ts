/**
 * Location report: every place where an image of one origin can be had, for operators: the origin, its further
 * locations, and the members of the group that hold some of it.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { Image } from '../../base/image.ts'
import type { PlacesOfImages } from '../../cache/fetch/origin-table.ts'
import type { MemberLocations } from '../../fleet/asking/member-locations.ts'
import type { Origin, OriginCounters } from '../../origin/contract/origin.ts'
import {
  type ComparedLocation,
  type ComparisonOptions,
  compareLocations,
} from '../../origin/locations/compare-locations.ts'
import type { ImageLocation } from '../../origin/locations/image-location.ts'
import type { LocatedOrigin } from '../../origin/locations/located-origin.ts'
import { soleLocation } from '../../origin/locations/sole-location.ts'

/** The origin as it is now: it is opened anew with other settings. */
export interface PlacedOrigin {
  /** As members hold its images, and without members. */
  readonly origin: Pick<Origin, 'url' | 'read'>
  readonly counters: OriginCounters
  /** Null: no other place is configured or told. */
  readonly located: Pick<LocatedOrigin, 'locationsOf' | 'compareAll'> | null
  /** Null: it takes no part in a group. */
  readonly members: Pick<MemberLocations, 'locationsOf' | 'placesOf'> | null
}

export class LocationReport implements PlacesOfImages {
  readonly #now: () => PlacedOrigin

  constructor(now: () => PlacedOrigin) {
    this.#now = now
  }

  async locationsOf(image: Image, signal: CancelSignal): Promise<ImageLocation[]> {
    const { origin, counters, located, members } = this.#now()
    const sole = async () => [await soleLocation(image, origin, counters, signal)]
    const own = located ? located.locationsOf(image) : sole()
    const [first, held] = await Promise.all([own, members?.locationsOf(image, signal) ?? []])
    return [...first, ...held]
  }

  /** Places of the same bytes as the origin come first: those that differ are not read for members then. */
  async compareAll(image: Image, options: ComparisonOptions): Promise<ComparedLocation[]> {
    const { origin, located, members } = this.#now()
    const own = (await located?.compareAll(image, options)) ?? []
    const places = (await members?.placesOf(image, options.signal)) ?? []
    return [...own, ...(await compareLocations(image, origin, places, options))]
  }
}
