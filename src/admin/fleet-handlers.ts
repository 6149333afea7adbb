/**
 * Handlers of the fleet for operators: the group as this host sees it, and leaving it.
 */
import { CacheError } from '../base/errors.ts'
import type { LongOptions } from '../cache/operations/operations.ts'
import type { FleetStatus, UnitExplanation } from '../fleet/asking/fleet-status.ts'
import type { PromotedMember } from '../fleet/asking/group-promotion.ts'
import type { Progress } from './progress-stream.ts'

export interface FleetHandlers {
  /** Null: this host is in no group. */
  status(): FleetStatus | null
  /** Others give this host no units from then on. @throws CacheError invalid-argument when it is in no group */
  leave(): void
  /**
   * Bring an image to every member, from the origin once.
   * @throws CacheError not-found, invalid-argument (this host is in no group), origin-*, aborted
   */
  promote(name: string, options: LongOptions<Progress>): Promise<readonly PromotedMember[]>
  /** The responsibility for each unit of a range; none where this host is in no group. */
  explain(imageId: string, offset: number, length: number): readonly UnitExplanation[]
}

/** Those of a host that is in no group. */
export const noFleet: FleetHandlers = {
  status: () => null,
  leave: () => {
    throw inNoGroup()
  },
  promote: async () => {
    throw inNoGroup()
  },
  explain: () => [],
}

function inNoGroup(): CacheError {
  return new CacheError('invalid-argument', 'this mount is in no group: "fleet.group" names one')
}
