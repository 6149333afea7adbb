/**
 * Promotions that a host of the group has asked for: one for each image and part, however many ask. It goes on as long
 * as somebody asks for its progress. Its outcome is kept for a while; a failure is told once, and who asks then tries
 * again.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'
import type { RunEvery } from '../../async/timers.ts'
import { messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { PromotionPart, PromotionState } from '../wire/promotion.ts'
import { promotionLeaseMs, promotionsMax } from './limits.ts'

/** The outcome of a promotion; see src/cache/operations/preload-image.ts. */
export interface PromotedPart {
  readonly promotedBytes: number
  readonly complete: boolean
}

export interface PromotionProgress {
  readonly doneBytes: number
  readonly totalBytes: number
}

/** Brings a part of an image into the cache. @throws CacheError, see CacheOperations.promote */
export type PromotePart = (
  image: Image,
  part: PromotionPart,
  options: { readonly signal: AbortSignal; readonly onProgress: (progress: PromotionProgress) => void },
) => Promise<PromotedPart>

export interface PromotionRequestsContext {
  promote: PromotePart
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly every?: RunEvery
}

interface Job {
  readonly stop: AbortController
  ended: Promise<void>
  state: PromotionState
  askedMs: number
}

const begun: PromotionState = {
  state: 'running',
  ...{ doneBytes: 0, totalBytes: 0, promotedBytes: 0 },
  ...{ complete: false, reason: '' },
}

export class PromotionRequests {
  readonly #parts: PromotionRequestsContext
  readonly #jobs = new Map<string, Job>()
  readonly #leases: PeriodicTask
  #refused = 0
  #isClosed = false

  constructor(parts: PromotionRequestsContext) {
    this.#parts = parts
    this.#leases = new PeriodicTask(promotionLeaseMs / 4, () => this.#endForgotten(), parts.every)
  }

  /** Requests that were turned away because there were enough. */
  get refused(): number {
    return this.#refused
  }

  /** Begin, or hear of what goes on. @returns null: there are enough */
  ask(image: Image, part: PromotionPart): PromotionState | null {
    const key = `${image.id} ${part}`
    const known = this.#jobs.get(key)
    if (known) {
      if (known.state.state === 'running') known.askedMs = this.#parts.now()
      if (known.state.state === 'failed') this.#jobs.delete(key)
      return known.state
    }
    if (this.#isClosed || this.#jobs.size >= promotionsMax) {
      this.#refused++
      return null
    }
    const job = this.#begin(image, part)
    this.#jobs.set(key, job)
    this.#leases.start()
    return job.state
  }

  /** Ends all of them. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#leases.stop()
    const jobs = [...this.#jobs.values()]
    for (const { stop } of jobs) stop.abort()
    await Promise.all(jobs.map(({ ended }) => ended))
  }

  #begin(image: Image, part: PromotionPart): Job {
    const { promote, now } = this.#parts
    const stop = new AbortController()
    const onProgress = ({ doneBytes, totalBytes }: PromotionProgress) => {
      job.state = { ...job.state, doneBytes, totalBytes }
    }
    const job: Job = { stop, ended: Promise.resolve(), state: begun, askedMs: now() }
    // It may tell its progress at once.
    job.ended = promote(image, part, { signal: stop.signal, onProgress }).then(
      ({ promotedBytes, complete }) => {
        const { totalBytes } = job.state
        job.state = { ...job.state, state: 'done', doneBytes: totalBytes, promotedBytes, complete }
      },
      error => {
        job.state = { ...job.state, state: 'failed', reason: messageOf(error) }
      },
    )
    return job
  }

  #endForgotten(): void {
    const nowMs = this.#parts.now()
    for (const [key, { stop, askedMs }] of this.#jobs) {
      if (nowMs - askedMs < promotionLeaseMs) continue
      stop.abort()
      this.#jobs.delete(key)
    }
    if (this.#jobs.size === 0) this.#leases.stop()
  }
}
