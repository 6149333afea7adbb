/**
 * In-flight fetches: each extent is fetched once, however many readers want it.
 *
 * A fetch begins when the first reader misses, and stays until its promotion has ended, so that a read between the
 * answer and the publication finds the bytes in memory instead of fetching them again. It stays longer where the store
 * did not take them: at least as long as they are in the read-ahead buffer. Readers may leave. A fetch without readers
 * that has not arrived is cancelled. A prefetch waits for its readers, and one of which a reader has got its range
 * first goes on.
 */

import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { type BlockRun, maskOf } from '../../base/image.ts'
import type { FirstPart } from './demand-range.ts'

/** The way in which a fetch brings its bytes. */
export interface FetchPlan {
  /** Brings the bytes of the extent; starts at once. `hurry` resolves when a reader waits for all of them. */
  fetch(signal: CancelSignal, hurry: Promise<void>): Promise<Uint8Array>
  /** Of a prefetch: is it for a long stream, see {@link Promote}? */
  readonly ahead?: {
    readonly isPassing: boolean
    /** Calls `then` when the shelf has its bytes no more: at once where it does not. */
    whenReleased(then: () => void): void
  }
  /** Of one that comes in two steps: the first. `fetch` rejects where this does. */
  early?(signal: CancelSignal): FirstPart
  /** Its bytes are not needed any more: it has ended, well or not, and its readers have left. */
  free(hasFailed: boolean): void
}

/** Operations on a fetch whose bytes only stay in memory. */
export interface Retained {
  /** Forget it. */
  releaseBytes(): void
  /** Offer it to the store again, if that may take it now. */
  offer(): void
}

/** Of a fetch that comes in one step, all is waited for from the beginning. */
const atOnce = Promise.resolve()
const nothing: () => void = () => {}
const noFetches: readonly InflightFetch[] = []

/** One extent on its way. */
export class InflightFetch {
  readonly object: number
  readonly run: BlockRun
  readonly blocks: bigint
  readonly #controller = new LightAbortSignal()
  readonly #arrival: Promise<Uint8Array>
  /** Made when it is first asked for: of most fetches it never is. */
  #settled: Promise<void> | null = null
  #resolveSettled = nothing
  #hasSettled = false
  /** Was it begun before a reader wanted it? */
  readonly isAhead: boolean
  readonly isPassing: boolean
  /** See {@link FetchPlan}. */
  readonly whenReleased: (then: () => void) => void
  readonly #free: (hasFailed: boolean) => void
  #hasEnded = false
  // INVARIANT: true only after the end, with no reader on board.
  #isFree = false
  /** The first part, where it comes in two steps. */
  readonly early: FirstPart | null
  /** A reader waits for all of it. Idempotent. */
  makeDemand = nothing
  /** Not null once it has settled and only stays in memory, because the store did not take it. */
  retained: Retained | null = null
  #readers = 0
  #arrived = false
  #earlyArrived = false
  #failed = false

  constructor(object: number, run: BlockRun, { fetch, ahead, early, free }: FetchPlan) {
    this.object = object
    this.run = run
    this.blocks = maskOf(run)
    this.isAhead = ahead !== undefined
    this.isPassing = ahead?.isPassing ?? false
    this.whenReleased = then => (ahead ? ahead.whenReleased(then) : then())
    this.#free = free
    this.early = early?.(this.#controller) ?? null
    let hurry = atOnce
    if (this.early) {
      hurry = new Promise<void>(resolve => {
        this.makeDemand = resolve
      })
      this.early.arrival.then(
        () => {
          this.#earlyArrived = true
        },
        () => {}, // Readers see the error.
      )
    }
    this.#arrival = fetch(this.#controller, hurry)
    this.#arrival.then(
      () => {
        this.#arrived = true
      },
      () => {
        this.#failed = true
      }, // Readers see the error; a inflight without readers has none to tell.
    )
  }

  /**
   * Resolves when its bytes are in the store, or were dropped, or never came; they may stay in memory for a while then.
   */
  get settled(): Promise<void> {
    this.#settled ??= new Promise(resolve => {
      if (this.#hasSettled) resolve()
      else this.#resolveSettled = resolve
    })
    return this.#settled
  }

  /** Call it when that is so; {@link end} does it too. Idempotent. */
  settle(): void {
    this.#hasSettled = true
    this.#resolveSettled()
  }

  /** The bytes, from the beginning of the extent; rejects with what the fetch threw. Readers {@link acquire} first. */
  get arrival(): Promise<Uint8Array> {
    return this.#arrival
  }

  /** Are the bytes here already, because they were prefetched? */
  get isPrefetched(): boolean {
    return this.isAhead && this.#arrived
  }

  /** Will its bytes never come? */
  get hasFailed(): boolean {
    return this.#failed
  }

  /** Give it up if it has not arrived: its readers get `aborted`. */
  cancel(): void {
    if (!this.#arrived) this.#controller.abort()
  }

  /** Was it given up, by its last reader or by {@link cancel}? It must not be joined then. */
  get cancelled(): boolean {
    return this.#controller.aborted
  }

  /** Nothing more comes of it, and no reader joins any more. Idempotent. */
  end(): void {
    this.#hasEnded = true
    this.settle()
    this.#freeIfLeft()
  }

  /** Count one more reader, which may look at the bytes until it leaves. @returns its leave, to be called once */
  acquire(): () => void {
    if (this.#isFree) throw new Error('a reader boards a inflight after its end')
    this.#readers++
    this.retained?.offer()
    return () => {
      this.#readers--
      if (this.#readers === 0 && !this.isAhead && !this.#earlyArrived) this.cancel()
      this.#freeIfLeft()
    }
  }

  #freeIfLeft(): void {
    if (!this.#hasEnded || this.#readers > 0 || this.#isFree) return
    this.#isFree = true
    this.#free(this.#failed)
  }
}

/** The fetches of all images, by object. */
export class InflightTable {
  readonly #byObject = new Map<string, Set<InflightFetch>>()
  #count = 0
  #onEmpty: (() => void)[] = []

  /** Flights in the air or waiting for promotion. */
  get size(): number {
    return this.#count
  }

  /** Flights that touch `blocks` of an object and may be joined. */
  overlapping(key: string, blocks: bigint): InflightFetch[] {
    const touching: InflightFetch[] = []
    for (const inflight of this.#byObject.get(key) ?? noFetches) {
      if ((inflight.blocks & blocks) !== 0n && !inflight.cancelled) touching.push(inflight)
    }
    return touching
  }

  add(key: string, inflight: InflightFetch): void {
    const fetches = this.#byObject.get(key) ?? new Set()
    fetches.add(inflight)
    this.#byObject.set(key, fetches)
    this.#count++
  }

  /** Idempotent. */
  remove(key: string, inflight: InflightFetch): void {
    const fetches = this.#byObject.get(key)
    if (!fetches?.delete(inflight)) return
    inflight.end()
    this.#count--
    if (fetches.size === 0) this.#byObject.delete(key)
    if (this.#count === 0) for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  /** Cancel what has not arrived; resolves when the rest has been promoted or dropped. */
  async close(): Promise<void> {
    for (const fetches of this.#byObject.values()) for (const inflight of fetches) inflight.cancel()
    if (this.#count > 0) await new Promise<void>(resolve => this.#onEmpty.push(resolve))
  }
}
