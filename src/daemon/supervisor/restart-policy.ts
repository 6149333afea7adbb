/**
 * Restart policy: the pause before the next worker, whether it runs without the cache, and when a mount without a
 * worker is given up. Pure.
 *
 * Only a crash says something of the cache: after a number of crashes in a row, the next workers run without it. A
 * worker that was killed from outside, or that could not be started (its program is being replaced, no memory for a
 * process), costs a pause. When workers without the cache crash too, or none has served for a minute, the policy asks
 * whether the mount is in use. A mount in use gets new workers at the longest pause.
 */

import type { Restarts } from '../ipc/messages.ts'
import { restartPauseMsMax, restartPauseMsMin, workerlessMsMax } from './limits.ts'

/**
 * `crashed`: by itself, or because it hung. `killed`: a SIGKILL that was not ours, as of an operator or of the kernel
 * out of memory. `unstarted`: there was no process, or none that speaks our protocol.
 */
export type Fate = 'crashed' | 'killed' | 'unstarted'

/** The end of a worker. */
export interface End {
  readonly fate: Fate
  /** For people. */
  readonly how: string
  /** 0 for one that never served. */
  readonly servedMs: number
}

/** The consequence of an end. */
export interface Restart {
  readonly pauseMs: number
  /** The workers before this one led to it: worker crash loop: the next worker runs without the cache. */
  readonly beginsBypass: boolean
  /** The reason why the mount is only worth keeping for its users; null: it is. */
  readonly doubt: string | null
  /** No end before this one led to a doubt. */
  readonly isNewDoubt: boolean
}

export class RestartPolicy {
  #restarts: Restarts
  /** Ends in a row, of which none was of a worker that was well. */
  #ends = 0
  /** Those of them that say something of the cache; counted anew once it is passed by. */
  #crashes = 0
  #bypass: string | null = null
  #lastServedMs: number
  #isInDoubt = false

  constructor(restarts: Restarts, nowMs: number) {
    this.#restarts = restarts
    this.#lastServedMs = nowMs
  }

  /** Takes the limits of the configuration, as a worker has told them. */
  configure(restarts: Restarts): void {
    this.#restarts = restarts
  }

  /** Why workers have to pass the cache by, once they have to. */
  get bypass(): string | null {
    return this.#bypass
  }

  /** An operator has put another worker in place: the cache is tried again. */
  forgive(): void {
    this.#bypass = null
  }

  /** A worker has ended, or none came up. */
  ended({ fate, how, servedMs }: End, nowMs: number): Restart {
    if (servedMs > 0) this.#lastServedMs = nowMs
    if (servedMs >= this.#restarts.wellMs) this.#wasWell()
    this.#ends++
    if (fate === 'crashed') this.#crashes++
    const loop =
      this.#crashes >= this.#restarts.deathsMax ? `${this.#crashes} workers have died in a row (${how})` : null
    const beginsBypass = loop !== null && this.#bypass === null
    if (beginsBypass) {
      this.#bypass = loop
      this.#crashes = 0
      // A worker without the cache has to serve soon.
      this.#ends = 1
    }
    const workerless =
      nowMs - this.#lastServedMs >= workerlessMsMax ? `no worker for ${workerlessMsMax / 1000} s (${how})` : null
    const doubt = beginsBypass ? null : (loop ?? workerless)
    const isNewDoubt = doubt !== null && !this.#isInDoubt
    this.#isInDoubt ||= doubt !== null
    return { pauseMs: doubt === null ? pauseAfter(this.#ends) : restartPauseMsMax, beginsBypass, doubt, isNewDoubt }
  }

  #wasWell(): void {
    this.#ends = 0
    this.#crashes = 0
    this.#isInDoubt = false
  }
}

/** The first end may be chance: no pause. Each that follows in a row has twice the pause of the one before. */
function pauseAfter(ends: number): number {
  return ends <= 1 ? 0 : Math.min(restartPauseMsMin * 2 ** (ends - 2), restartPauseMsMax)
}
