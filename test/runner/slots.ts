/**
 * Checks side by side, the longest first, each with the neighbours that it tolerates; those that run alone come last,
 * one by one.
 */
import type { Check } from './check.ts'

export interface Slots {
  /** Checks at once. */
  readonly checks: number
  /** Among them, those that mount. */
  readonly mounts: number
}

/** Run all of them; rejects with the first that rejects, once those that run have ended. */
export async function runInSlots(checks: readonly Check[], slots: Slots, run: (check: Check) => Promise<void>) {
  const longestFirst = checks.toSorted((a, b) => b.weightSeconds - a.weightSeconds)
  const waiting = longestFirst.filter(({ company }) => company !== 'alone')
  let mounts = 0
  // Mounts wait more than they work, and so take longest altogether: as many as may be run at any time.
  const nextIndex = () => {
    const mount = mounts < slots.mounts ? waiting.findIndex(({ company }) => company === 'mount') : -1
    return mount >= 0 ? mount : waiting.findIndex(({ company }) => company === 'unit')
  }
  const work = async () => {
    for (let index = nextIndex(); index >= 0; index = nextIndex()) {
      const [check] = waiting.splice(index, 1)
      const isMount = check!.company === 'mount'
      if (isMount) mounts++
      await run(check!).finally(() => {
        if (isMount) mounts--
      })
    }
  }
  const outcomes = await Promise.allSettled(Array.from({ length: slots.checks }, work))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  for (const check of longestFirst) if (check.company === 'alone') await run(check)
}
