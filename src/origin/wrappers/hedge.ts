/**
 * Hedge: an Origin that asks a second time for a read that takes longer than nearly all before it, and takes the answer
 * that comes first; the other request is cancelled. A request that fell into a slow corner then costs little more than
 * the usual slow ones.
 *
 * Hedges are paid from a bucket that every read fills by `hedgeShareMax`, so that an origin that has become slow as a
 * whole is asked that much more at most. Each request is judged by the Origins inside; it belongs below the breaker,
 * which sees one try.
 */

import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { callSafely } from '../../async/on-settled.ts'
import { type RunAfter, runAfter } from '../../async/timers.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError, mayPass } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { TraceSpan } from '../../base/trace.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin } from './forwarding-origin.ts'
import { LatencyWindow } from './latency-window.ts'
import { hedgeBurstMax, hedgeMsMin, hedgeQuantile, hedgeSamplesMax, hedgeSamplesMin, hedgeShareMax } from './limits.ts'

export interface HedgeCounters {
  /** Second requests sent, those of them that were first, and those that the budget did not allow. */
  readonly sent: number
  readonly won: number
  readonly overBudget: number
}

/** Counts hedges, for status. */
export class Hedges {
  sent = 0
  won = 0
  unpaid = 0

  counters(): HedgeCounters {
    return { sent: this.sent, won: this.won, overBudget: this.unpaid }
  }
}

export interface HedgeOptions {
  readonly hedges: Hedges
  /** Second requests as a share of the first ones; 0: none. */
  readonly shareMax: number
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly after: RunAfter
}

const optionsDefault: Omit<HedgeOptions, 'hedges'> = {
  shareMax: hedgeShareMax,
  now: () => performance.now(),
  after: runAfter,
}

export class HedgeOrigin extends ForwardingOrigin {
  readonly #options: HedgeOptions
  /** By the order of magnitude of the length: a whole object takes longer than a block, and is not slow for that. */
  readonly #latencies = new Map<number, LatencyWindow>()
  // INVARIANT: 0 <= #budget <= hedgeBurstMax
  #budget = 0

  constructor(inner: Origin, options: Partial<HedgeOptions> = {}) {
    super(inner)
    this.#options = { hedges: new Hedges(), ...optionsDefault, ...options }
  }

  override read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const { now, shareMax } = this.#options
    this.#budget = Math.min(hedgeBurstMax, this.#budget + shareMax)
    const latencies = this.#latenciesOf(target.length)
    const isHedged = shareMax > 0 && latencies.size >= hedgeSamplesMin
    const { signal, trace } = options
    const request: Request = (into, signal, trace) => this.inner.read(image, offset, into, { signal, trace })
    if (isHedged) return this.#hedged(request, target, latencies, signal, trace)
    const startMs = now()
    const reading = callSafely(() => request(target, signal, trace))
    reading.then(
      () => latencies.add(now() - startMs),
      () => {}, // The reader sees it.
    )
    return reading
  }

  /** A read of session threads was answered: it shows what is slow, and cannot be hedged itself. */
  answered(bytes: number, ms: number): void {
    this.#latenciesOf(bytes).add(ms)
  }

  #latenciesOf(bytes: number): LatencyWindow {
    const magnitude = Math.floor(Math.log2(Math.max(1, bytes)) / 2)
    const latencies = this.#latencies.get(magnitude) ?? new LatencyWindow(hedgeSamplesMax)
    this.#latencies.set(magnitude, latencies)
    return latencies
  }

  #hedged(
    request: Request,
    target: Uint8Array,
    latencies: LatencyWindow,
    caller: CancelSignal,
    trace: TraceSpan | undefined,
  ): Promise<void> {
    const { after, now } = this.#options
    const first = new Contender(own => request(target, own, trace), target, caller, now)
    let race: Promise<Contender> | null = null
    // Timers of one length cost Node less: whole milliseconds.
    const delayMs = Math.ceil(Math.max(hedgeMsMin, latencies.quantile(hedgeQuantile)))
    const cancel = after(delayMs, () => {
      if (first.isOver || caller.aborted || !this.#pay()) return
      const hedge = trace?.begin('hedge', { 'parentfs.hedge.after_ms': delayMs })
      const copy = Buffer.allocUnsafeSlow(target.length)
      const second = new Contender(own => request(copy, own, hedge), copy, caller, now)
      void second.settled.then(() => hedge?.end(second.error ?? undefined)) // Never rejects.
      race = decide(first, second)
      race.catch(() => {}) // The reader sees it.
    })
    const brought = (winner: Contender) => {
      if (winner.error !== null) throw winner.error
      // Its own time, without the wait for the first one: with that in it, each hedge would put off the next ones.
      latencies.add(winner.ms)
      if (winner === first) return
      target.set(winner.target)
      this.#options.hedges.won++
    }
    // The second one's bytes, too, have to wait until the first one writes no more to the target.
    return first.settled.then(() => {
      cancel()
      return race === null ? brought(first) : race.then(brought)
    })
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

/**
 * The one of two requests whose bytes are taken, or whose error; the other one is given up. @throws the first one's
 * error when both failed
 */
async function decide(first: Contender, second: Contender): Promise<Contender> {
  await Promise.race([first.settled, second.settled])
  const [sooner, other] = first.isOver ? [first, second] : [second, first]
  // A failure that may pass is no reason to give up the other one.
  if (sooner.error !== null && isWorthWaiting(sooner.error)) {
    await other.settled
    if (other.error === null) return other
    throw first.error
  }
  other.leave()
  return sooner
}

type Request = (target: Uint8Array, signal: CancelSignal, trace: TraceSpan | undefined) => Promise<void>

/** One of two requests for the same bytes. */
class Contender {
  readonly target: Uint8Array
  /** Resolves when it has ended, well or not. Never rejects. */
  readonly settled: Promise<void>
  readonly #signal: LightAbortSignal
  isOver = false
  error: unknown = null
  /** The time that it took, once it is over and without error. */
  ms = 0

  constructor(
    request: (signal: CancelSignal) => Promise<void>,
    target: Uint8Array,
    caller: CancelSignal,
    now: () => number,
  ) {
    this.target = target
    this.#signal = new LightAbortSignal(caller)
    const startMs = now()
    this.settled = callSafely(() => request(this.#signal)).then(
      () => this.#over(null, now() - startMs),
      error => this.#over(error ?? new Error('a request failed without a reason'), 0),
    )
  }

  /** It is not wanted any more. */
  leave(): void {
    this.#signal.abort()
  }

  #over(error: unknown, ms: number): void {
    this.isOver = true
    this.ms = ms
    this.error = error
    this.#signal.end()
  }
}

/** Failures of one request, not of the image: the other request may do better. */
function isWorthWaiting(error: unknown): boolean {
  return mayPass(error) || isCacheError(error, 'origin-protocol')
}
