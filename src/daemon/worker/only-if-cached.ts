/**
 * Only if cached: requests to told locations that have another parentfs send what it holds, and bring nothing. Two
 * hosts that are told of each other would wait for each other else. Other servers do not know the header.
 */
import { fillHeader } from '../../fleet/wire/wire.ts'
import type { Authorizer } from '../../origin/http/authorizer.ts'

export const onlyIfCached: Authorizer = {
  refusals: new Set(),
  authorize: async () => ({ headers: { [fillHeader]: 'no' }, query: '', freshMs: Number.POSITIVE_INFINITY }),
  refused: async () => false,
}
