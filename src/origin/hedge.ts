/**
 * An Origin that asks a second time for a read that takes longer than nearly all before it, and takes whichever answer is there
 * first; the other is cancelled. A request that fell into a slow corner then costs little more than the usual slow ones.
 *
 * Hedges are paid from a bucket that every read fills by `hedgeShareMax`, so that an origin that has become slow as a whole is
 * asked that much more at most. Each request is judged by the Origins inside; it belongs below the breaker, which sees one try.
 */

import { abortingWith } from '../aborting.ts'
import { isCacheError, mayPass } from '../errors.ts'
import type { Image, ImageFacts } from '../image.ts'
import { hedgeBurstMax, hedgeMsMin, hedgeQuantile, hedgeSamplesMax, hedgeSamplesMin, hedgeShareMax } from '../limits.ts'
import type { Digest } from './digest.ts'
import { Latencies } from './latencies.ts'
import type { Origin, OriginExtent, ReadOptions } from './origin.ts'

export interface HedgeCounters {
  /** Second requests sent, those of them that were first, and those that the budget did not allow. */
  readonly sent: number
  readonly won: number
  readonly unpaid: number
}

/** Counts hedges, for status. */
export class Hedges {
  sent = 0
  won = 0
  unpaid = 0

  counters(): HedgeCounters {
    return { sent: this.sent, won: this.won, unpaid: this.unpaid }
  }
}

export interface HedgeOptions {
  readonly hedges: Hedges
  /** Second requests as a share of the first ones; 0: none. */
  readonly shareMax: number
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Run `work` after `ms`, unless cancelled by the function that is returned. */
  readonly after: (ms: number, work: () => void) => () => void
}

const optionsDefault: Omit<HedgeOptions, 'hedges'> = {
  shareMax: hedgeShareMax,
  now: () => performance.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, ms)
    return () => clearTimeout(timer)
  },
}

export class HedgeOrigin implements Origin {
  readonly url: string
  readonly #inner: Origin
  readonly #options: HedgeOptions
  /** By the order of magnitude of the length: a whole object takes longer than a block, and is not slow for that. */
  readonly #latencies = new Map<number, Latencies>()
  // INVARIANT: 0 <= #budget <= hedgeBurstMax
  #budget = 0

  constructor(inner: Origin, options: Partial<HedgeOptions> = {}) {
    this.url = inner.url
    this.#inner = inner
    this.#options = { hedges: new Hedges(), ...optionsDefault, ...options }
  }

  list(options: ReadOptions): Promise<readonly string[] | null> {
    return this.#inner.list(options)
  }

  lookup(key: string, options: ReadOptions): Promise<ImageFacts> {
    return this.#inner.lookup(key, options)
  }

  async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const { now, hedges, shareMax } = this.#options
    this.#budget = Math.min(hedgeBurstMax, this.#budget + shareMax)
    const latencies = this.#latenciesOf(target.length)
    const isHedged = shareMax > 0 && latencies.size >= hedgeSamplesMin
    if (!isHedged) {
      const startMs = now()
      await this.#inner.read(image, offset, target, options)
      latencies.add(now() - startMs)
      return
    }
    const delayMs = Math.max(hedgeMsMin, latencies.quantile(hedgeQuantile))
    const request = async (into: Uint8Array, signal: AbortSignal) => {
      const startMs = now()
      await this.#inner.read(image, offset, into, { signal })
      return now() - startMs
    }
    const { won, ms } = await this.#race(request, target, delayMs, options.signal)
    if (won) hedges.won++
    // Its own time, without the wait for the first one: with that in it, each hedge would put off the next ones.
    latencies.add(ms)
  }

  extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    return this.#inner.extentAt(image, offset, options)
  }

  digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return this.#inner.digest(image, options)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  #latenciesOf(bytes: number): Latencies {
    const magnitude = Math.floor(Math.log2(Math.max(1, bytes)) / 2)
    const latencies = this.#latencies.get(magnitude) ?? new Latencies(hedgeSamplesMax)
    this.#latencies.set(magnitude, latencies)
    return latencies
  }

  /** @returns whether the second request brought the bytes, and how long the one that did took */
  async #race(
    request: Request,
    target: Uint8Array,
    delayMs: number,
    caller: AbortSignal,
  ): Promise<{ readonly won: boolean; readonly ms: number }> {
    const first = new Contender(request, target, caller)
    const contenders = [first]
    const hedged = new Promise<Contender>(resolve => {
      const cancel = this.#options.after(delayMs, () => {
        if (first.isOver || caller.aborted || !this.#pay()) return
        const second = new Contender(request, Buffer.allocUnsafeSlow(target.length), caller)
        contenders.push(second)
        void second.settled.then(() => resolve(second)) // Never rejects.
      })
      void first.settled.then(cancel) // Never rejects.
    })
    let winner = await Promise.race([first.settled.then(() => first), hedged])
    // A failure that may pass is no reason to give up the other one.
    const other = contenders.find(each => each !== winner)
    if (winner.error !== null && other !== undefined && isWorthWaiting(winner.error)) {
      await other.settled
      if (other.error === null) winner = other
      else throw first.error
    }
    if (winner === first) other?.leave()
    else {
      first.leave()
      // Until it has ended it may still write to the target.
      await first.settled
    }
    if (winner.error !== null) throw winner.error
    if (winner !== first) target.set(winner.target)
    return { won: winner !== first, ms: winner.ms }
  }

  #pay(): boolean {
    const { hedges } = this.#options
    if (this.#budget < 1) {
      hedges.unpaid++
      return false
    }
    this.#budget--
    hedges.sent++
    return true
  }
}

/** @returns how long it took, in milliseconds */
type Request = (target: Uint8Array, signal: AbortSignal) => Promise<number>

/** One of two requests for the same bytes. */
class Contender {
  readonly target: Uint8Array
  /** Resolves when it has ended, well or not. Never rejects. */
  readonly settled: Promise<void>
  readonly leave: () => void
  isOver = false
  error: unknown = null
  /** How long it took, once it is over and without error. */
  ms = 0

  constructor(request: Request, target: Uint8Array, caller: AbortSignal) {
    this.target = target
    const { signal, abort, end } = abortingWith(caller)
    this.leave = abort
    this.settled = request(target, signal).then(
      ms => this.#over(end, null, ms),
      error => this.#over(end, error ?? new Error('a request failed without a reason'), 0),
    )
  }

  #over(end: () => void, error: unknown, ms: number): void {
    this.isOver = true
    this.ms = ms
    this.error = error
    end()
  }
}

/** Failures of one request, not of the image: the other request may do better. */
function isWorthWaiting(error: unknown): boolean {
  return mayPass(error) || isCacheError(error, 'origin-protocol')
}
