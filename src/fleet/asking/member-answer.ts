/**
 * Member answer: one answer of a member on its way into the target. Each block is compared with its checksum as soon as
 * it is whole.
 *
 * Its time-outs are the loop's own time: lateness of this process is none of the member's. Every answer is taken for
 * hostile: only a range of that version, of that length and with right checksums counts.
 */
import type { Readable } from 'node:stream'
import type { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { OwnTime } from '../../async/own-time.ts'
import { messageOf } from '../../base/errors.ts'
import { contentRangeOf, type Headers, headerOf } from '../../origin/http/protocol/response-headers.ts'
import {
  entityTag,
  parseSums,
  replicasHeader,
  sumsHeader,
  toldUnitsBytesMax,
  unitBlocks,
  unitsHeader,
} from '../wire/wire.ts'
import { memberStallBytesMin, memberStallMsMax } from './limits.ts'
import type { AskedRange, AskOutcome } from './member-channel.ts'

export interface MemberAnswerOptions {
  /** `https://host:port`. */
  readonly url: string
  readonly blockBytes: number
  readonly time: Pick<OwnTime, 'after'>
  /** crc32c. */
  sumOf(bytes: Uint8Array): number
}

/** The end of an exchange that this side wants. */
export class ExchangeEnded extends Error {
  readonly outcome: AskOutcome

  constructor(outcome: AskOutcome) {
    super(outcome.kind)
    this.outcome = outcome
  }
}

export class MemberAnswer {
  readonly #range: AskedRange
  readonly #options: MemberAnswerOptions
  #sums: readonly number[] = []
  #at = 0
  /** Whole blocks whose checksums are right. */
  #goodBytes = 0
  #hasHead = false
  /** Did it say that it works on it? */
  #wasBrought = false
  #cancelTimer = () => {}
  #sinceBytes = 0

  constructor(range: AskedRange, options: MemberAnswerOptions) {
    this.#range = range
    this.#options = options
  }

  /** Ends the exchange when there is no sign of life in time. @returns ends the watch */
  watch(exchange: LightAbortSignal, headMsMax: number): () => void {
    this.#cancelTimer = this.#options.time.after(headMsMax, () => exchange.abort(new ExchangeEnded({ kind: 'silent' })))
    return () => this.#cancelTimer()
  }

  /** An interim head has come: the asker waits for as long as it wants to. */
  isAlive(): void {
    if (this.#hasHead) return
    this.#wasBrought = true
    this.#cancelTimer()
  }

  /** @returns the outcome of an answer that is not the range; null: its body is to be received */
  head(status: number, headers: Headers): AskOutcome | null {
    this.#hasHead = true
    this.#cancelTimer()
    const { image, offset, target } = this.#range
    if (status === 503 || status === 429) {
      const replicas = Number(headerOf(headers, replicasHeader) ?? 0)
      return { kind: 'busy', replicas: Number.isSafeInteger(replicas) ? replicas : 0 }
    }
    // 307: it sends all who ask to the origin, which this host knows.
    if (status === 307 || status === 404 || status === 412) {
      const units = status === 404 ? this.#unitsIn(headers) : null
      return units ? { kind: 'absent', units } : { kind: 'absent' }
    }
    if (status === 421) return this.brokenBy('is this host itself, by another name than fleet.url')
    const wrong = (why: string): AskOutcome => ({ kind: 'wrong', why: `${this.#options.url}: ${why}` })
    if (status !== 206) return wrong(`answered with status ${status}`)
    if (headerOf(headers, 'etag') !== entityTag(image.id)) return wrong('sent another version')
    const sent = contentRangeOf(headers)
    const isRange = sent && sent.first === offset && sent.last === offset + target.length - 1
    if (!isRange || sent.sizeBytes !== image.sizeBytes) return wrong('sent another range')
    const encoding = headerOf(headers, 'content-encoding') ?? 'identity'
    const length = headerOf(headers, 'content-length')
    if (encoding !== 'identity' || (length !== null && length !== String(target.length)))
      return wrong('sent another length')
    const blocks = Math.ceil(target.length / this.#options.blockBytes)
    const sums = parseSums(headerOf(headers, sumsHeader) ?? '', blocks)
    if (sums === null) return wrong('sent no checksums')
    this.#sums = sums
    return null
  }

  body(body: Readable, exchange: LightAbortSignal): Promise<AskOutcome> {
    this.#armStall(exchange)
    return new Promise<AskOutcome>(resolve => {
      const end = (outcome: AskOutcome) => {
        body.off('data', onData)
        if (outcome.kind !== 'bytes') body.destroy()
        resolve(outcome)
      }
      const onData = (chunk: Uint8Array) => {
        const wrong = this.#take(chunk)
        if (wrong !== null) return end({ kind: 'wrong', why: `${this.#options.url}: ${wrong}` })
        this.#sinceBytes += chunk.length
        if (this.#sinceBytes >= memberStallBytesMin) this.#armStall(exchange)
      }
      const broken = (error?: unknown) => {
        if (exchange.aborted && exchange.reason instanceof ExchangeEnded) return end(exchange.reason.outcome)
        end(this.brokenBy(error === undefined ? 'the connection was lost' : messageOf(error)))
      }
      body.on('data', onData)
      body.once('error', broken)
      body.once('end', () => (this.#isWhole ? end(this.#whole) : broken()))
      body.once('close', () => broken())
      exchange.addEventListener('abort', () => body.destroy())
    })
  }

  /** The connection ended, or could not be made. */
  brokenBy(why: string): AskOutcome {
    return { kind: 'lost', goodBytes: this.#goodBytes, why: `${this.#options.url}: ${why}` }
  }

  /** Only such a list as was asked for. */
  #unitsIn(headers: Headers): Uint8Array | null {
    const { image, asksUnits = false } = this.#range
    const text = asksUnits ? headerOf(headers, unitsHeader) : null
    const bytes = Math.ceil(image.sizeBytes / (unitBlocks * this.#options.blockBytes) / 8)
    const units = text === null ? null : Buffer.from(text, 'base64')
    return units?.length === bytes && bytes <= toldUnitsBytesMax ? units : null
  }

  get #whole(): AskOutcome {
    return this.#wasBrought ? { kind: 'bytes', wasBrought: true } : { kind: 'bytes' }
  }

  get #isWhole(): boolean {
    return this.#goodBytes === this.#range.target.length
  }

  /** @returns the fault of the bytes; null: there is none */
  #take(chunk: Uint8Array): string | null {
    const { target } = this.#range
    if (this.#at + chunk.length > target.length) return 'sent more than was asked for'
    target.set(chunk, this.#at)
    this.#at += chunk.length
    const { blockBytes, sumOf } = this.#options
    for (;;) {
      const end = Math.min(target.length, this.#goodBytes + blockBytes)
      if (this.#at < end || this.#isWhole) return null
      const sum = this.#sums[Math.floor(this.#goodBytes / blockBytes)]
      if (sumOf(target.subarray(this.#goodBytes, end)) !== sum) return 'sent a block with another checksum'
      this.#goodBytes = end
    }
  }

  #armStall(exchange: LightAbortSignal): void {
    this.#sinceBytes = 0
    this.#cancelTimer()
    this.#cancelTimer = this.#options.time.after(memberStallMsMax, () => {
      const why = `${this.#options.url}: brought under ${memberStallBytesMin} bytes in ${memberStallMsMax} ms`
      exchange.abort(new ExchangeEnded({ kind: 'lost', goodBytes: this.#goodBytes, why }))
    })
  }
}
