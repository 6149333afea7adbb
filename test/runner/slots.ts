/**
 * Checks side by side, each with the neighbours that it tolerates: those that measure time one by one, beside the
 * shortest others; then the rest, the longest first.
 */
import type { Check } from './check.ts'

export interface Slots {
  /** Checks at once. */
  readonly checks: number
  /** Among them, those that mount, as long as there are others. */
  readonly mounts: number
}

/** Run all of them; rejects with the first that rejects, once those that run have ended. */
export async function runInSlots(checks: readonly Check[], slots: Slots, run: (check: Check) => Promise<void>) {
  const longestFirst = checks.toSorted((a, b) => b.weightSeconds - a.weightSeconds)
  const waiting = longestFirst.filter(({ company }) => company !== 'timed')
  let timedOver = false
  const runTimed = async () => {
    try {
      for (const check of longestFirst) if (check.company === 'timed') await run(check)
    } finally {
      timedOver = true
    }
  }
  const runShortUnits = async () => {
    while (!timedOver) {
      const index = waiting.findLastIndex(({ company }) => company === 'unit')
      if (index < 0) return
      await run(waiting.splice(index, 1)[0]!)
    }
  }
  await allEnded([runTimed(), runShortUnits()])

  let mounts = 0
  // Mounts wait more than they work, and so take longest altogether: as many as may be run at any time. Units keep a
  // processor busy; once there are none, a mount has their slot.
  const nextIndex = () => {
    const unit = waiting.findIndex(({ company }) => company === 'unit')
    const mount = waiting.findIndex(({ company }) => company === 'mount')
    return mount >= 0 && (mounts < slots.mounts || unit < 0) ? mount : unit
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
  await allEnded(Array.from({ length: slots.checks }, work))
}

async function allEnded(work: readonly Promise<void>[]) {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason
}
