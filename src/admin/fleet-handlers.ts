/**
 * Handlers of the fleet for operators: the group as this host sees it, and leaving it.
 */
import { CacheError } from '../base/errors.ts'
import type { FleetStatus, UnitExplanation } from '../fleet/asking/fleet-group.ts'

export interface FleetHandlers {
  /** Null: this host is in no group. */
  status(): FleetStatus | null
  /** Others give this host no units from then on. @throws CacheError invalid-argument when it is in no group */
  leave(): void
  /** The responsibility for each unit of a range; none where this host is in no group. */
  explain(imageId: string, offset: number, length: number): readonly UnitExplanation[]
}

/** Those of a host that is in no group. */
export const noFleet: FleetHandlers = {
  status: () => null,
  leave: () => {
    throw new CacheError('invalid-argument', 'this mount is in no group: "fleet.group" names one')
  },
  explain: () => [],
}
