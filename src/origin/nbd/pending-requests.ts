/**
 * Requests under way on a connection: a range of an export, or its holes. Each settles once, with the end of its
 * answer, and writes nothing after that.
 */
import { nbdChunksMax } from './limits.ts'
import { protocolError } from './nbd-errors.ts'
import { allocationContext, readsAsZeros } from './protocol.ts'
import type { AnsweredRequest } from './reply-parser.ts'

/** A range that was received. `to` is the first byte after it. */
interface Received {
  readonly from: number
  to: number
}

/** A stretch of an export. */
export interface Stretch {
  readonly isHole: boolean
  /** First byte after it. */
  readonly end: number
}

/** The parts that every request has. */
abstract class PendingRequest<T> {
  readonly offset: number
  readonly length: number
  readonly done: Promise<T>
  protected error: Error | null = null
  #isAbandoned = false
  #settle: { readonly resolve: (value: T) => void; readonly reject: (error: unknown) => void } | null = null

  constructor(offset: number, length: number) {
    this.offset = offset
    this.length = length
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    this.done.catch(() => {}) // A caller that has left asks no more.
  }

  get isSettled(): boolean {
    return this.#settle === null
  }

  /** Its caller has left: the answer is only read past. */
  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  /** The server could not do it. */
  fail(error: Error): void {
    this.error ??= error
  }

  /** It ends now, whatever still comes. */
  leave(error: unknown): void {
    if (this.#settle === null) return
    this.#settle.reject(error)
    this.#settle = null
    this.#isAbandoned = true
  }

  /** The answer is over. */
  protected settle(value: T): void {
    if (this.error === null) this.#settle?.resolve(value)
    else this.#settle?.reject(this.error)
    this.#settle = null
  }

  protected mustBeWithin(offset: number, length: number): void {
    if (offset < this.offset || length <= 0 || offset + length > this.offset + this.length)
      throw protocolError('the server sends bytes that were not asked for')
  }
}

/** Fills a target, which may be less than the range: that ends where blocks of the server do. */
export class PendingRead extends PendingRequest<void> implements AnsweredRequest {
  readonly isRead = true
  /** Place of the target in the export. */
  readonly #targetOffset: number
  readonly #target: Uint8Array
  /** In ascending order, without gaps of nothing between them. */
  readonly #received: Received[] = []

  constructor(range: { readonly offset: number; readonly length: number }, targetOffset: number, target: Uint8Array) {
    super(range.offset, range.length)
    this.#targetOffset = targetOffset
    this.#target = target
  }

  expect(offset: number, length: number): void {
    this.mustBeWithin(offset, length)
    this.#note(offset, offset + length)
  }

  data(offset: number, bytes: Uint8Array): void {
    if (this.isAbandoned) return
    const from = Math.max(offset, this.#targetOffset)
    const to = Math.min(offset + bytes.length, this.#targetOffset + this.#target.length)
    if (to <= from) return
    const isWhole = to - from === bytes.length
    this.#target.set(isWhole ? bytes : bytes.subarray(from - offset, to - offset), from - this.#targetOffset)
  }

  hole(offset: number, length: number): void {
    this.expect(offset, length)
    if (this.isAbandoned) return
    this.#target.fill(0, Math.max(0, offset - this.#targetOffset), Math.max(0, offset + length - this.#targetOffset))
  }

  status(): void {
    throw protocolError('the server tells holes in place of bytes')
  }

  end(): void {
    const [first] = this.#received
    const isWhole = first?.from === this.offset && first.to === this.offset + this.length
    if (this.error === null && !isWhole) throw protocolError('the server ends an answer before all bytes were sent')
    this.settle()
  }

  /** Each byte comes once. */
  #note(from: number, to: number): void {
    const all = this.#received
    let at = all.length
    while (at > 0 && all[at - 1]!.from >= to) at--
    const before = all[at - 1]
    if (before && before.to > from) throw protocolError('the server sends bytes twice')
    const after = all[at]
    if (before?.to === from) before.to = to
    else all.splice(at, 0, { from, to })
    // Neighbours become one: in the end there is one.
    const own = all[before?.to === to ? at - 1 : at]!
    if (after && after.from === own.to) {
      own.to = after.to
      all.splice(all.indexOf(after), 1)
    }
    if (all.length > nbdChunksMax) throw protocolError('the server sends an answer in too many pieces')
  }
}

/** Asks for the holes of a range. */
export class PendingStatus extends PendingRequest<readonly Stretch[]> implements AnsweredRequest {
  readonly isRead = false
  readonly #context: number
  readonly #stretchesMax: number
  #stretches: Stretch[] = []

  constructor(range: { readonly offset: number; readonly length: number }, context: number, stretchesMax: number) {
    super(range.offset, range.length)
    this.#context = context
    this.#stretchesMax = stretchesMax
  }

  expect(): void {
    throw protocolError('the server sends bytes in place of holes')
  }

  data(): void {
    this.expect()
  }

  hole(): void {
    this.expect()
  }

  /** The last stretch may be longer than was asked for. Source: the NBD protocol, NBD_CMD_BLOCK_STATUS. */
  status(body: Buffer): void {
    if (body.readUInt32BE(0) !== this.#context || this.#stretches.length > 0)
      throw protocolError(`an answer that is not about ${allocationContext}`)
    const stretches: Stretch[] = []
    let end = this.offset
    for (let at = 4; at < body.length; at += 8) {
      const length = body.readUInt32BE(at)
      if (length === 0 || end >= this.offset + this.length) throw protocolError('a stretch of nothing')
      end += length
      const isHole = (body.readUInt32BE(at + 4) & readsAsZeros) !== 0
      if (stretches.at(-1)?.isHole === isHole) stretches.pop()
      else if (stretches.length === this.#stretchesMax) break
      stretches.push({ isHole, end })
    }
    this.#stretches = stretches
  }

  end(): void {
    if (this.error === null && this.#stretches.length === 0) throw protocolError('the server tells nothing about holes')
    this.settle(this.#stretches)
  }
}
