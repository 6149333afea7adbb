/**
 * Relayed origin: reads of an origin by this host, or by way of a member where this host does not reach it.
 *
 * The origin is asked first, unless it is known to be away. One that says nothing for seconds is asked through members
 * beside it, and whichever is first answers. Without a member that reaches it, reads are as without a group.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { RunAfter } from '../../async/timers.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, mayPass } from '../../base/errors.ts'
import type { Origin, ReadOptions } from '../../origin/contract/origin.ts'
import { hopsMax } from '../wire/wire.ts'
import { originLookMs, originProbeMs, originSilentMs } from './limits.ts'
import type { OriginRelay } from './origin-relay.ts'
import type { UnitRange } from './unit-reader.ts'

/** This host's knowledge of an origin. */
export interface OriginReach {
  /** Does it not answer this host? */
  isAway(): boolean
  /** It has not answered a read that a member had answered meanwhile. */
  failed(error: CacheError): void
}

export interface RelayedOriginContext {
  readonly inner: Pick<Origin, 'read'>
  readonly reach: OriginReach
  readonly relay: Pick<OriginRelay, 'read'>
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly after: RunAfter
}

export class RelayedOrigin {
  readonly #parts: RelayedOriginContext
  #heardMs = Number.NEGATIVE_INFINITY
  /** Has a member answered where it was silent, and it has not since? */
  #isDoubted = false
  #probedMs = Number.NEGATIVE_INFINITY
  readonly #stop = new LightAbortSignal()

  constructor(parts: RelayedOriginContext) {
    this.#parts = parts
  }

  /** @throws CacheError what the origin says; overloaded to a member where the origin is away here, too */
  async read(range: UnitRange, options: ReadOptions): Promise<void> {
    const { inner, reach, relay } = this.#parts
    const { image, offset, target } = range
    // A member that asks hears at once that it has to ask another one.
    const isLast = range.hop >= hopsMax
    const refusal = () => new CacheError('overloaded', `${image.origin} does not answer here, too`)
    if (reach.isAway()) {
      if (isLast) throw refusal()
      if (await relay.read(range, options.signal)) return this.#probe(range)
    }
    const own = new LightAbortSignal(options.signal)
    const relayed = this.#relayWhenSilent(range, own)
    try {
      await inner.read(image, offset, target, { ...options, signal: own })
      this.#heardMs = this.#parts.now()
      this.#isDoubted = false
    } catch (error) {
      if (options.signal.aborted) throw error
      const isAway = mayPass(error) || isCacheError(error, 'origin-away')
      if (!own.aborted && !isAway) throw error
      if (isLast) throw isAway ? error : refusal()
      const bytes = await relayed.bytes()
      if (bytes) target.set(bytes)
      else if (!(await relay.read(range, options.signal))) throw error
    } finally {
      relayed.end()
      own.end()
    }
  }

  /** Idempotent. */
  close(): void {
    this.#stop.abort()
  }

  /** Looks now and then whether the origin is silent, and has members asked then; their bytes end its own reading. */
  #relayWhenSilent(range: UnitRange, own: LightAbortSignal) {
    const { reach, relay, now, after } = this.#parts
    const sinceMs = now()
    const signal = new LightAbortSignal(own)
    let relaying: Promise<Uint8Array | null> = Promise.resolve(null)
    const ask = async (beside: CancelSignal) => {
      const target = Buffer.allocUnsafeSlow(range.target.length)
      const isRead = await relay.read({ ...range, target }, beside).catch(() => false)
      if (beside.aborted) return null
      if (!isRead) {
        cancelLook = look(originSilentMs)
        return null
      }
      this.#isDoubted = true
      if (!reach.isAway()) reach.failed(new CacheError('origin-timeout', 'a member answered, and the origin did not'))
      own.abort()
      return target
    }
    const look = (ms: number): (() => void) =>
      after(ms, () => {
        const isSilent = this.#isDoubted || now() - Math.max(sinceMs, this.#heardMs) > originSilentMs
        if (!isSilent && !reach.isAway()) cancelLook = look(originLookMs)
        else if (range.hop >= hopsMax) own.abort()
        else relaying = ask(signal)
      })
    let cancelLook = look(originLookMs)
    return {
      bytes: () => relaying,
      end: () => {
        cancelLook()
        signal.abort()
        signal.end()
      },
    }
  }

  /** While reads go through members, one of them now and then asks the origin, which may be back. */
  #probe({ image, offset, target }: UnitRange): void {
    const { inner, now, after } = this.#parts
    if (now() - this.#probedMs < originProbeMs || this.#stop.aborted) return
    this.#probedMs = now()
    const signal = new LightAbortSignal(this.#stop)
    const cancel = after(originProbeMs, () => signal.abort())
    const options = { signal, isOptional: true }
    const end = () => {
      cancel()
      signal.end()
    }
    void inner.read(image, offset, Buffer.allocUnsafeSlow(Math.min(4096, target.length)), options).then(end, end)
  }
}
