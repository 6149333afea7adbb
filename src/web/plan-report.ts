/**
 * Report of the plan for other capacities, estimated in this process and not in the worker: it takes seconds of
 * processor time. One estimate serves all pages for a minute.
 */
import { setImmediate } from 'node:timers/promises'
import { requestPlanBasis } from '../admin/admin-client.ts'
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

export class PlanReports {
  readonly #ask: () => Promise<PlanBasis | null>
  readonly #now: () => number
  readonly #making = new SharedRun<PlanReport>()
  #made: { readonly report: PlanReport; readonly freshMs: number } | null = null

  constructor(socketPath: string, ask = () => requestPlanBasis(socketPath), now = () => performance.now()) {
    this.#ask = ask
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
    const capacities: PlanRow[] = []
    const wanted =
      basis.reads === 0
        ? []
        : capacitiesOf(
            powers.map(times => ({ times })),
            basis.capacityBytes,
          )
    for (const capacityBytes of wanted) {
      capacities.push(...(await planFor(basis, [capacityBytes])))
      await setImmediate() // Streams of other pages go on in between.
    }
    const report = { ...about, capacities }
    this.#made = { report, freshMs: this.#now() + webPlanFreshMs }
    return report
  }
}
