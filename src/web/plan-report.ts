/**
 * Report of the plan for other capacities. One estimate serves all pages for a minute: it takes seconds of processor
 * time.
 */
import { setImmediate } from 'node:timers/promises'
import { SharedRun } from '../async/shared-run.ts'
import { CacheError } from '../base/errors.ts'
import { capacitiesOf, type PlanRow, planFor } from '../cache/plan/plan.ts'
import type { PlanBasis } from '../cache/plan/plan-basis.ts'
import { webPlanFreshMs } from './limits.ts'

export interface PlanReport extends Omit<PlanBasis, 'uses'> {
  readonly capacities: readonly PlanRow[]
}

/** Capacities of the curve, as shares of the present one. */
const powers = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]

/** Estimates rows for capacities. */
export type EstimatePlan = (basis: PlanBasis, capacities: readonly number[]) => Promise<readonly PlanRow[]>

export class PlanReports {
  readonly #ask: () => Promise<PlanBasis | null>
  readonly #estimate: EstimatePlan
  readonly #now: () => number
  readonly #making = new SharedRun<PlanReport>()
  #made: { readonly report: PlanReport; readonly freshMs: number } | null = null

  /** @param ask null: no daemon answers */
  constructor(
    ask: () => Promise<PlanBasis | null>,
    estimate: EstimatePlan = estimateHere,
    now: () => number = () => performance.now(),
  ) {
    this.#ask = ask
    this.#estimate = estimate
    this.#now = now
  }

  /** @throws CacheError closed when no daemon answers */
  async get(): Promise<PlanReport> {
    if (this.#made && this.#now() < this.#made.freshMs) return this.#made.report
    return this.#making.run(() => this.#make())
  }

  async #make(): Promise<PlanReport> {
    const basis = await this.#ask()
    if (!basis) throw new CacheError('closed', 'no daemon answers: the plan is asked for again')
    const { uses: _, ...about } = basis
    const wanted =
      basis.reads === 0
        ? []
        : capacitiesOf(
            powers.map(times => ({ times })),
            basis.capacityBytes,
          )
    const capacities = wanted.length === 0 ? [] : await this.#estimate(basis, wanted)
    const report = { ...about, capacities }
    this.#made = { report, freshMs: this.#now() + webPlanFreshMs }
    return report
  }
}

/** In this process, with pauses in which streams of other pages go on. */
async function estimateHere(basis: PlanBasis, capacities: readonly number[]): Promise<readonly PlanRow[]> {
  const rows: PlanRow[] = []
  for (const capacityBytes of capacities) {
    rows.push(...(await planFor(basis, [capacityBytes])))
    await setImmediate()
  }
  return rows
}
