/**
 * In-flight journal: notes requests in work where the supervisor can read them after this process has died. A request
 * that was in work at one crash after the other may be the cause.
 *
 * A note is a slot of a file in memory: written before the work begins, cleared with the answer. Of the requests that
 * the supervisor suspects, one at a time is worked on, so that the next crash tells which it is; a proven one is
 * refused. Hits of native threads are not noted: they do one thing only, and a note would cost each of them more than
 * the hit itself. Source of bit 63: Linux include/uapi/linux/fuse.h, FUSE_UNIQUE_RESEND.
 */
import type { Logger } from '../../base/logger.ts'
import { workNotesMax } from './limits.ts'

/** The supervisor's knowledge of requests, by `unique` in decimal, without bit 63. */
export interface PoisonVerdict {
  /** Each was in work when one or two workers died. */
  readonly suspects: readonly string[]
  /** Each kills the worker that works on it. */
  readonly poisoned: readonly string[]
}

export const noPoisonVerdict: PoisonVerdict = { suspects: [], poisoned: [] }

/** A slot: unique u64 (0 while it is free), length u32, 4 bytes of nothing, then as much of the request as fits. */
export const slotBytes = 128
export const slotHeadBytes = 16

export interface InflightJournalOptions {
  readonly judgement: PoisonVerdict
  /** Write into the file of notes. @throws when it cannot */
  readonly write: (bytes: Uint8Array, position: number) => void
  readonly logger: Logger
}

/** The verdict on a request: `later` comes again, through `resume`. */
export type RequestVerdict = 'go' | 'later' | 'refuse'

export class InflightJournal {
  readonly #options: InflightJournalOptions
  readonly #suspects: Set<bigint>
  readonly #poisoned: ReadonlySet<bigint>
  readonly #slots = new Map<bigint, number>()
  readonly #free = Array.from({ length: workNotesMax }, (_, k) => workNotesMax - 1 - k)
  readonly #slot = Buffer.alloc(slotBytes)
  readonly #nothing = Buffer.alloc(8)
  /** The suspect that is being worked on, and those that wait for it. */
  #active: bigint | null = null
  readonly #waiting: Uint8Array[] = []
  #resume: (request: Uint8Array) => void = () => {}
  #isOff = false

  constructor(options: InflightJournalOptions) {
    this.#options = options
    this.#suspects = new Set(options.judgement.suspects.map(BigInt))
    this.#poisoned = new Set(options.judgement.poisoned.map(BigInt))
  }

  /** Takes requests that had to wait. */
  onResume(listener: (request: Uint8Array) => void): void {
    this.#resume = listener
  }

  /** Before a request is worked on. */
  begin(unique: bigint, request: Uint8Array): RequestVerdict {
    const id = BigInt.asUintN(63, unique)
    if (this.#poisoned.has(id)) {
      const hex = Buffer.from(request).toString('hex')
      this.#options.logger.error({ unique: String(id), request: hex }, 'a request that has killed workers is refused')
      return 'refuse'
    }
    if (this.#suspects.has(id)) {
      if (this.#active !== null) {
        this.#waiting.push(Uint8Array.from(request)) // A view would keep its whole batch.
        return 'later'
      }
      this.#active = unique
    }
    this.#note(unique, request)
    return 'go'
  }

  /** It has been answered; of one that is not in work, nothing. */
  end(unique: bigint): void {
    const slot = this.#slots.get(unique)
    if (slot !== undefined) {
      this.#slots.delete(unique)
      this.#free.push(slot)
      this.#write(this.#nothing, slot)
    }
    if (unique !== this.#active) return
    this.#suspects.delete(BigInt.asUintN(63, unique))
    this.#active = null
    const next = this.#waiting.shift()
    if (next) setImmediate(() => this.#resume(next))
  }

  /** Beyond `workNotesMax` at once there are no notes: what kills is among the others soon enough. */
  #note(unique: bigint, request: Uint8Array): void {
    const slot = this.#isOff ? undefined : this.#free.pop()
    if (slot === undefined) return
    this.#slots.set(unique, slot)
    this.#slot.fill(0)
    this.#slot.writeBigUInt64LE(unique, 0)
    this.#slot.writeUInt32LE(request.length, 8)
    this.#slot.set(request.subarray(0, slotBytes - slotHeadBytes), slotHeadBytes)
    this.#write(this.#slot, slot)
  }

  /** Without a file there are no notes, and all else goes on. */
  #write(bytes: Uint8Array, slot: number): void {
    if (this.#isOff) return
    try {
      this.#options.write(bytes, slot * slotBytes)
    } catch (error) {
      this.#isOff = true
      this.#options.logger.warn({ err: error }, 'the in-flight journal cannot be written')
    }
  }
}
