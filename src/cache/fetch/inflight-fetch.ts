/**
 * In-flight fetches: each extent is fetched once, however many readers want it.
 *
 * A fetch begins when the first reader misses, and stays until its promotion has ended, so that a read between the
 * answer and the publication finds the bytes in memory instead of fetching them again. It stays longer where the store
 * did not take them: at least as long as they are in the read-ahead buffer. Readers may leave. A demand fetch that is
 * still coming when its last reader leaves is cancelled; a prefetch, and one that a session thread began, go on.
 */

import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { type BlockRun, maskOf } from '../../base/image.ts'
import type { TraceSpan } from '../../base/trace.ts'

/** The way in which a fetch brings its bytes. */
export interface FetchPlan {
  /** Brings the bytes of the extent; starts at once. */
  fetch(signal: CancelSignal): Promise<Uint8Array>
  /** Of a prefetch: is it for a long stream, see {@link Promote}? */
  readonly ahead?: {
    readonly isPassing: boolean
    /** Calls `then` when the shelf has its bytes no more: at once where it does not. */
    whenReleased(then: () => void): void
  }
  /** A session thread or a pass began it: it goes on without readers here. */
  readonly isNative?: boolean
  /** The read that began it is traced. */
  readonly trace?: TraceSpan | undefined
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

const nothing: () => void = () => {}

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
  /** Not null once it has settled and only stays in memory, because the store did not take it. */
  retained: Retained | null = null
  #readers = 0
  #state: 'coming' | 'here' | 'failed' = 'coming'
  readonly #goesOn: boolean
  /** See {@link FetchPlan}. */
  readonly trace: TraceSpan | undefined

  constructor(object: number, run: BlockRun, { fetch, ahead, isNative = false, trace, free }: FetchPlan) {
    this.object = object
    this.run = run
    this.blocks = maskOf(run)
    this.isAhead = ahead !== undefined
    this.isPassing = ahead?.isPassing ?? false
    this.#goesOn = this.isAhead || isNative
    this.whenReleased = then => (ahead ? ahead.whenReleased(then) : then())
    this.#free = free
    this.trace = trace
    this.#arrival = fetch(this.#controller)
    this.#arrival.then(
      () => {
        this.#state = 'here'
      },
      () => {
        this.#state = 'failed'
      }, // Readers see the error; a fetch without readers has none to tell.
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
    return this.isAhead && this.#state === 'here'
  }

  /** Are the bytes here? */
  get hasArrived(): boolean {
    return this.#state === 'here'
  }

  /** Will its bytes never come? */
  get hasFailed(): boolean {
    return this.#state === 'failed'
  }

  /** Give it up if it has not arrived: its readers get `aborted`. */
  cancel(): void {
    if (this.#state === 'coming') this.#controller.abort()
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

  /** Does a reader wait for it? */
  get hasReaders(): boolean {
    return this.#readers > 0
  }

  /** Count one more reader, which may look at the bytes until it leaves. @returns its leave, to be called once */
  acquire(): () => void {
    if (this.#isFree) throw new Error('a reader joins a fetch after its end')
    this.#readers++
    this.retained?.offer()
    return () => {
      this.#readers--
      if (this.#readers === 0 && !this.#goesOn) this.cancel()
      this.#freeIfLeft()
    }
  }

  #freeIfLeft(): void {
    if (!this.#hasEnded || this.#readers > 0 || this.#isFree) return
    this.#isFree = true
    this.#free(this.hasFailed)
  }
}
