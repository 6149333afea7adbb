/**
 * An Origin that counts. It belongs below retries: each try is a request.
 *
 * The numbers live in a {@link Meter}, which outlasts and is shared by whatever reports them.
 */

import { callSafely } from '../../async/on-settled.ts'
import { type ErrorCode, isCacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { type LatencyCounts, LatencyHistogram } from '../../base/latency-histogram.ts'
import { endingWith } from '../../base/trace.ts'
import type { Digest } from '../contract/digest.ts'
import type { FoundImage, Origin, OriginCounters, ReadOptions, TakeBytes } from '../contract/origin.ts'
import { ForwardingOrigin, readWholeOf } from './forwarding-origin.ts'

/** One call that has ended. */
export interface MeterEvent {
  readonly operation: 'list' | 'lookup' | 'read' | 'readWhole' | 'digest'
  /** The image's key; null for a listing. */
  readonly key: string | null
  /** Image bytes received: all or none; of whole images, those that were not {@link Meter.received} before. */
  readonly bytes: number
  readonly ms: number
  /** null when it worked; origin-failed for what is not a CacheError. */
  readonly error: ErrorCode | null
  /** The error in words; empty when it worked. */
  readonly reason: string
}

/** More of what a meter knows. */
export interface MeterDetails {
  /** Requests under way. */
  readonly inFlight: number
  /** Requests that failed, by what was wrong; not those that were given up, nor names that are not there. */
  readonly errorsByCode: ReadonlyMap<ErrorCode, number>
  /** Latencies of reads that worked. */
  readonly readLatencies: LatencyCounts
  /** Why the image that was looked up last cannot be served by us; empty when it can. */
  readonly unsupported: string
}

export class Meter {
  #requests = 0
  #bytes = 0
  #errors = 0
  #cancelled = 0
  #inFlight = 0
  #unsupported = ''
  readonly #errorsByCode = new Map<ErrorCode, number>()
  readonly #readLatencies = new LatencyHistogram()
  readonly #onEvent: (event: MeterEvent) => void

  /** @param onEvent called after each call; must not throw */
  constructor(onEvent: (event: MeterEvent) => void = () => {}) {
    this.#onEvent = onEvent
  }

  /** A snapshot. A reader that left and a name that is not there are no errors of the origin. */
  counters(): OriginCounters {
    return { requests: this.#requests, bytes: this.#bytes, errors: this.#errors, cancelled: this.#cancelled }
  }

  details(): MeterDetails {
    const readLatencies = this.#readLatencies.snapshot()
    const unsupported = this.#unsupported
    return { inFlight: this.#inFlight, errorsByCode: new Map(this.#errorsByCode), readLatencies, unsupported }
  }

  /** A request is on its way. */
  begin(): void {
    this.#requests++
    this.#inFlight++
  }

  /** Bytes of an image that is read whole have come. */
  received(bytes: number): void {
    this.#bytes += bytes
  }

  /** It has ended. */
  end(event: MeterEvent): void {
    const { error } = event
    this.#inFlight--
    this.#bytes += event.bytes
    if (event.operation === 'lookup' && error === null) this.#unsupported = ''
    else if (error === 'origin-unsupported' || error === 'image-too-large') this.#unsupported = event.reason
    if (event.operation === 'read' && error === null) this.#readLatencies.add(event.ms)
    if (error === 'aborted') this.#cancelled++
    else if (error !== null && error !== 'not-found') {
      this.#errors++
      this.#errorsByCode.set(error, (this.#errorsByCode.get(error) ?? 0) + 1)
    }
    this.#onEvent(event)
  }
}

/** Extents are not counted: no origin asks a remote side for them. */
export class MeterOrigin extends ForwardingOrigin {
  readonly #meter: Meter
  readonly #nowMs: () => number

  /** @param nowMs a clock that never goes back */
  constructor(inner: Origin, meter: Meter, nowMs: () => number = () => performance.now()) {
    super(inner)
    this.#meter = meter
    this.#nowMs = nowMs
  }

  override list(options: ReadOptions): Promise<readonly string[] | null> {
    return this.#count('list', null, 0, () => this.inner.list(options))
  }

  override lookup(key: string, options: ReadOptions): Promise<FoundImage> {
    return this.#count('lookup', key, 0, () => this.inner.lookup(key, options))
  }

  override read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const facts = () => ({ 'parentfs.origin': this.url, 'parentfs.offset': offset, 'parentfs.bytes': target.length })
    const request = options.trace?.begin('origin request', facts())
    const call = () => this.inner.read(image, offset, target, options)
    return endingWith(request, this.#count('read', image.key, target.length, call))
  }

  override readWhole(image: Image, take: TakeBytes, options: ReadOptions): Promise<void> {
    const takeCounted: TakeBytes = bytes => {
      this.#meter.received(bytes.length)
      return take(bytes)
    }
    return this.#count('readWhole', image.key, 0, () => readWholeOf(this.inner, image, takeCounted, options))
  }

  override digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return this.#count('digest', image.key, 0, () => this.inner.digest(image, options))
  }

  #count<T>(operation: MeterEvent['operation'], key: string | null, bytes: number, call: () => Promise<T>): Promise<T> {
    const startMs = this.#nowMs()
    this.#meter.begin()
    const counted = callSafely(call)
    counted.then(
      () => this.#meter.end({ operation, key, bytes, ms: this.#nowMs() - startMs, error: null, reason: '' }),
      error => {
        const code = isCacheError(error) ? error.code : 'origin-failed'
        const ms = this.#nowMs() - startMs
        this.#meter.end({ operation, key, bytes: 0, ms, error: code, reason: messageOf(error) })
      },
    )
    return counted
  }
}
