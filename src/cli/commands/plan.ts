/**
 * `parentfs plan`: misses, origin bytes and requests that caches of other capacities would have had, by a sample of the
 * reads of the mount. It is simulated here, not in the daemon.
 */
import { writeFileSync } from 'node:fs'
import { requestPlanBasis } from '../../admin/admin-client.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { type AskedCapacity, capacitiesOf, type PlanRow, planFor } from '../../cache/plan/plan.ts'
import type { PlanBasis } from '../../cache/plan/plan-basis.ts'
import { plotOf } from '../output/plan-plot.ts'
import { newTable, size, trimmed } from '../output/tables.ts'
import { findMount, noDaemon } from './target.ts'

export interface PlanOptions {
  readonly path: string | null
  /** None: powers of two around the present one. */
  readonly asked: readonly AskedCapacity[]
  readonly json: boolean
  /** File for an SVG; null: none. */
  readonly plot: string | null
}

const powers = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]

/** @returns the exit code. @throws CacheError not-found, access-denied, closed, invalid-argument */
export async function plan({ path, asked, json, plot }: PlanOptions): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const basis = await requestPlanBasis(socket)
  if (!basis) throw await noDaemon(mountpoint)
  const around = powers.map(times => ({ times }))
  const wanted = asked.length > 0 ? [{ times: 1 }, ...asked] : around
  const rows = await planFor(basis, capacitiesOf(wanted, basis.capacityBytes))
  const { uses: _, ...about } = basis
  console.log(json ? JSON.stringify({ ...about, capacities: rows }, null, 2) : tableOfPlan(basis, rows))
  if (plot === null) return 0
  const more = await planFor(basis, capacitiesOf([...wanted, ...around], basis.capacityBytes))
  try {
    writeFileSync(plot, plotOf(basis, more))
  } catch (cause) {
    throw new CacheError('invalid-argument', `${plot}: ${messageOf(cause)}`, { cause })
  }
  return 0
}

/** One line a capacity. */
export function tableOfPlan(basis: PlanBasis, rows: readonly PlanRow[]): string {
  if (basis.reads === 0) return 'nothing was read yet: a plan needs the reads of some hours'
  const table = newTable([
    'CAPACITY',
    'MISSES',
    'FROM ORIGIN',
    'REQUESTS',
    'MISSES, EXACT LRU',
    'FROM ORIGIN',
    'REQUESTS',
  ])
  for (const { capacityBytes, lru, policy } of rows) {
    const cells = [policy, lru].flatMap(({ missRatio, originBytes, originRequests }) => [
      `${(100 * missRatio).toFixed(1)} %`,
      size(originBytes),
      Math.round(originRequests),
    ])
    table.push([`${size(capacityBytes)}${capacityBytes === basis.capacityBytes ? ' (now)' : ''}`, ...cells])
  }
  const share = `${(100 * basis.rate).toPrecision(3)} % of the objects`
  // An older daemon does not say.
  const lost = basis.droppedSamples > 0 ? `, ${basis.droppedSamples} uses of them lost` : ''
  const head = `${Math.round(basis.reads)} reads, sampled by ${share}${lost}; eviction ${basis.policy}`
  return `${head}\n\n${trimmed(table.toString())}`
}
