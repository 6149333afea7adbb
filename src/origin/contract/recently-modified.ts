/**
 * Young versions: too young to be told from the next one, so a lookup waits until they are older.
 *
 * Times of modification come in ticks: of a second in HTTP and on some file systems, of the kernel's clock elsewhere. A
 * version that is replaced within its tick by one of the same length has the same validator, and cached bytes of the
 * two would be mixed. So a validator counts once its tick is over: by the age that its answer tells, or because it was
 * seen a whole tick before.
 *
 * Source: RFC 9110 8.8.2.2 (a date is as good as a strong validator a second later); git,
 * Documentation/technical/racy-git.txt.
 */

import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, throwIfAborted } from '../../base/errors.ts'
import type { ImageFacts } from '../../base/image.ts'
import { LruMap } from '../../base/lru-map.ts'
import { youngLooksMax, youngNamesMax } from './limits.ts'

/** The outcome of one look at an image. */
export interface Look {
  readonly facts: ImageFacts
  /** The age of the version by its answer, below 0 for one that comes from the future; null for an unknown one. */
  readonly ageMs: number | null
  /** The time for which two versions may have the same time. */
  readonly tickMs: number
}

export interface Waiting {
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Rejects with `aborted` when the signal fires. */
  readonly pause: (ms: number, signal: CancelSignal) => Promise<void>
}

/** A timer comes a little early, and a clock may be a little behind: a wait that ends too soon costs another one. */
const slackMs = 10

export class YoungVersions {
  readonly #waiting: Waiting
  /** Validators, by name, that were seen a tick apart: a server may say for ever that its images are new. */
  readonly #settled = new LruMap<string, string>(youngNamesMax)

  constructor(waiting: Partial<Waiting> = {}) {
    this.#waiting = { now: () => performance.now(), pause, ...waiting }
  }

  /**
   * The outcome of `look`, once that is no young version any more.
   * @param look rejects for itself; `isAgain`: not answered from anything that was kept of the look before
   * @throws CacheError image-changed when version follows on version; aborted
   */
  async settle<L extends Look>(look: (isAgain: boolean) => Promise<L>, signal: CancelSignal): Promise<L> {
    let since = { validator: '', ms: 0 }
    for (let looks = 1; ; looks++) {
      const startMs = this.#waiting.now()
      const latest = await look(looks > 1)
      const { key, origin, validator } = latest.facts
      if (isOld(latest) || this.#settled.get(key) === validator) return latest
      if (since.validator !== validator) since = { validator, ms: this.#waiting.now() }
      if (looks > 1 && startMs - since.ms >= latest.tickMs) return this.#remembered(latest)
      if (looks === youngLooksMax) {
        throw new CacheError(
          'image-changed',
          `${origin}${key}: is replaced again and again; it is served once it stays`,
        )
      }
      await this.#waiting.pause(waitMsOf(latest) + slackMs, signal)
      throwIfAborted(signal)
    }
  }

  #remembered<L extends Look>(look: L): L {
    const { key, validator } = look.facts
    this.#settled.set(key, validator)
    return look
  }
}

function isOld({ ageMs, tickMs }: Look): boolean {
  return ageMs === null || ageMs >= tickMs
}

/** A version from the future is waited for like one of this moment: a wrong clock deserves no more. */
function waitMsOf({ ageMs, tickMs }: Look): number {
  return Math.min(tickMs, tickMs - Math.max(0, ageMs ?? 0))
}
