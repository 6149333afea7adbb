/**
 * Span exporter: sends ended spans to a collector in batches, one request at a time. Its queue is bounded: what is over
 * it, and what a collector does not take in some tries, is dropped and counted. No read waits for it.
 */
import type { RunAfter } from '../async/timers.ts'
import type { Logger } from '../base/logger.ts'
import type { SpanFacts } from '../base/trace.ts'
import type { EndedSpan } from './ended-span.ts'
import {
  batchSpansMax,
  exportEveryMs,
  exportPauseMsMax,
  exportPauseMsMin,
  exportTriesMax,
  lastExportMsMax,
  queuedSpansMax,
} from './limits.ts'
import type { Delivery, OtlpClient } from './otlp-client.ts'
import { requestOf } from './otlp-json.ts'

/** Counters of spans since the worker started. */
export class SpanCounters {
  exported = 0
  dropped = 0
}

export interface SpanExporterContext {
  readonly client: Pick<OtlpClient, 'send' | 'close'>
  /** For messages. */
  readonly url: string
  readonly resource: SpanFacts
  readonly version: string
  readonly counters: SpanCounters
  readonly logger: Logger
  readonly after: RunAfter
}

export class SpanExporter {
  readonly #parts: SpanExporterContext
  // INVARIANT: #queue.length <= queuedSpansMax
  readonly #queue: EndedSpan[] = []
  /** Spans of a request that has not been answered well. */
  #batch: readonly EndedSpan[] = []
  #tries = 0
  #isSending = false
  #isDown = false
  #isClosed = false
  #sending: Promise<void> = Promise.resolve()
  /** Not null while a request is planned. */
  #cancel: (() => void) | null = null

  constructor(parts: SpanExporterContext) {
    this.#parts = parts
  }

  /** Take a span that has ended. */
  add(span: EndedSpan): void {
    if (this.#isClosed || this.#queue.length >= queuedSpansMax) {
      this.#parts.counters.dropped++
      return
    }
    this.#queue.push(span)
    const isFull = this.#queue.length === batchSpansMax && this.#batch.length === 0
    if (this.#cancel === null || isFull) this.#sendAfter(isFull ? 0 : exportEveryMs)
  }

  /** Send what is there within a second, and drop the rest. Idempotent; never rejects. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancel?.()
    const { client, counters } = this.#parts
    const cancelLast = this.#parts.after(lastExportMsMax, () => void client.close()) // Never rejects.
    await this.#sending
    if (this.#batch.length + this.#queue.length > 0) await this.#send(lastExportMsMax)
    counters.dropped += this.#batch.length + this.#queue.length
    this.#batch = []
    this.#queue.length = 0
    cancelLast()
    await client.close()
  }

  #sendAfter(ms: number): void {
    if (this.#isSending || this.#isClosed) return
    this.#cancel?.()
    this.#cancel = this.#parts.after(ms, () => {
      this.#cancel = null
      this.#sending = this.#send()
    })
  }

  /** One request. Never rejects. */
  async #send(withinMs?: number): Promise<void> {
    const { client, resource, version } = this.#parts
    this.#isSending = true
    if (this.#batch.length === 0) this.#batch = this.#queue.splice(0, batchSpansMax)
    this.#tries++
    const delivery = await client.send(requestOf(this.#batch, resource, version), withinMs)
    this.#isSending = false
    const pauseMs = this.#judge(delivery)
    if (this.#batch.length + this.#queue.length > 0) this.#sendAfter(pauseMs)
  }

  /** @returns the time until the next request, in milliseconds */
  #judge(delivery: Delivery): number {
    const { counters } = this.#parts
    if ('rejectedSpans' in delivery) {
      const rejected = Math.min(this.#batch.length, delivery.rejectedSpans)
      counters.exported += this.#batch.length - rejected
      counters.dropped += rejected
      if (rejected > 0) this.#said(false, delivery.errorMessage || 'it refused some spans')
      else this.#said(true)
      this.#leaveBatch()
      return this.#queue.length >= batchSpansMax ? 0 : exportEveryMs
    }
    this.#said(false, delivery.reason)
    if (!delivery.mayPass || this.#tries >= exportTriesMax) {
      counters.dropped += this.#batch.length
      this.#leaveBatch()
    }
    const doubledMs = exportPauseMsMin * 2 ** Math.max(0, this.#tries - 1)
    return Math.min(exportPauseMsMax, Math.max(doubledMs, delivery.retryMs))
  }

  #leaveBatch(): void {
    this.#batch = []
    this.#tries = 0
  }

  /** Once for each change. */
  #said(isWell: boolean, reason = ''): void {
    const { logger, url } = this.#parts
    if (this.#isDown === !isWell) return
    this.#isDown = !isWell
    if (isWell) logger.info({ url }, 'traces are delivered again')
    else logger.warn({ url, reason }, 'traces are not delivered; reads go on without')
  }
}
