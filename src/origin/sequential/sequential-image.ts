/**
 * Sequential image: one whose origin sends it from the front alone. A pass reads it from its first byte to its last;
 * reads wait until the pass has come to their place, and all else of it is landed in the cache as it comes.
 *
 * One pass runs at a time. A read of what has passed already waits for another one: it begins at once where the pass
 * had nothing else to do. A pass that broke is begun anew for as long as a read waits. Once begun, a pass goes on
 * without readers while its bytes land; where they do not, it stops at the end of what was read, and ends after a
 * while.
 */
import { LightAbortSignal, once } from '../../async/light-abort-signal.ts'
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { abortedBy, CacheError, mayPass } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { TakeBytes } from '../contract/origin.ts'
import { RetryAfterError } from '../contract/retry-after-error.ts'
import { retryMsMax, retryMsMin } from '../wrappers/limits.ts'
import { passIdleMs } from './limits.ts'

/** Takes the bytes of one pass into the cache, in order. */
export interface Landing {
  /** The next bytes, which are looked at until it resolves; false: nothing of them is kept. */
  take(bytes: Uint8Array): Promise<boolean>
  /** The pass has ended. @param error why it ended early; null: it did not */
  end(error: unknown): void
}

export interface PassContext {
  /** All bytes of the image. */
  readWhole(take: TakeBytes, signal: CancelSignal): Promise<void>
  /** Null: nothing of the image can be kept. Never rejects. */
  beginLanding(): Promise<Landing | null>
  /** Does `pass` when it is its turn. */
  inTurn(pass: () => Promise<void>): Promise<void>
  /** No pass is under way any more, and no read waits. */
  onIdle(): void
  readonly idleMs?: number
}

interface WaitingRead {
  readonly offset: number
  readonly target: Uint8Array
  /** Bytes at its beginning that are there. */
  filled: number
  resolve(): void
  reject(error: unknown): void
}

const noBytes = new Uint8Array(0)

export class SequentialImage {
  readonly #image: Image
  readonly #parts: PassContext
  readonly #reads = new Set<WaitingRead>()
  #isRunning = false
  /** Ends the pass of now. */
  #stop = new LightAbortSignal()
  #closed: CacheError | null = null
  /** The bytes that came last, from {@link #position} on; reads before it come too late for this pass. */
  #chunk: Uint8Array = noBytes
  #position = 0
  /** Set while the pass has nothing to do. */
  #wake: (() => void) | null = null

  constructor(image: Image, parts: PassContext) {
    this.#image = image
    this.#parts = parts
  }

  /** The place that the pass under way has come to; 0: there is none. */
  get position(): number {
    return this.#isRunning ? this.#position : 0
  }

  /** Fill `target`. @throws CacheError aborted, closed, and why the image cannot be read */
  read(offset: number, target: Uint8Array, signal: CancelSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted || this.#closed) {
        reject(this.#closed ?? abortedBy(signal))
        return
      }
      const leave = () => {
        this.#reads.delete(read)
        reject(abortedBy(signal))
        this.#wake?.()
      }
      const read: WaitingRead = {
        ...{ offset, target, filled: 0 },
        resolve: () => {
          signal.removeEventListener('abort', leave)
          resolve()
        },
        reject: error => {
          signal.removeEventListener('abort', leave)
          reject(error)
        },
      }
      signal.addEventListener('abort', leave, once)
      this.#reads.add(read)
      this.#wake?.()
      if (!this.#isRunning) void this.#run() // Never rejects.
    })
  }

  /** Reads that wait are refused, as all others from now on. */
  close(): void {
    this.#closed ??= new CacheError('closed', `${this.#image.key}: its origin has been closed`)
    this.#stop.abort()
    this.#refuse(this.#closed)
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    for (let failures = 0; this.#reads.size > 0; ) {
      const stop = (this.#stop = new LightAbortSignal())
      const pass = async () => {
        if (this.#reads.size > 0 && !this.#closed) await this.#pass(stop)
      }
      try {
        await this.#parts.inTurn(pass)
      } catch (error) {
        if (stop.aborted) continue
        if (!mayPass(error)) this.#refuse(error)
        failures = this.#position > 0 ? 1 : failures + 1
        const pauseMs = Math.min(retryMsMax, retryMsMin * 2 ** (failures - 1))
        await pause(Math.max(pauseMs, error instanceof RetryAfterError ? error.ms : 0), stop)
      }
    }
    this.#isRunning = false
    this.#parts.onIdle()
  }

  async #pass(signal: CancelSignal): Promise<void> {
    this.#position = 0
    this.#chunk = noBytes
    for (const read of this.#reads) read.filled = 0
    const landing = await this.#parts.beginLanding()
    let failure: unknown = null
    try {
      await this.#parts.readWhole(bytes => this.#take(bytes, landing, signal), signal)
      const { key, sizeBytes } = this.#image
      if (this.#position < sizeBytes) {
        throw new CacheError('origin-protocol', `${key}: has ${this.#position} bytes and should have ${sizeBytes}`)
      }
    } catch (error) {
      failure = error
      throw error
    } finally {
      landing?.end(failure)
      this.#chunk = noBytes
    }
  }

  async #take(bytes: Uint8Array, landing: Landing | null, signal: CancelSignal): Promise<void> {
    const end = this.#position + bytes.length
    if (end > this.#image.sizeBytes) {
      throw new CacheError('origin-protocol', `${this.#image.key}: has more than its ${this.#image.sizeBytes} bytes`)
    }
    this.#chunk = bytes
    const readTo = this.#serve()
    const isKept = landing !== null && (await landing.take(bytes))
    if (!isKept) await this.#untilWanted(readTo, signal)
    if (signal.aborted) throw abortedBy(signal)
    this.#chunk = noBytes
    this.#position = end
  }

  /** Give waiting reads their parts of the chunk. @returns the place up to which bytes of it were read */
  #serve(): number {
    const end = this.#position + this.#chunk.length
    let readTo = this.#position
    for (const read of this.#reads) {
      const next = nextOf(read)
      if (next < this.#position || next >= end) continue
      const at = next - this.#position
      const part = this.#chunk.subarray(at, at + read.target.length - read.filled)
      read.target.set(part, read.filled)
      read.filled += part.length
      readTo = Math.max(readTo, nextOf(read))
      if (read.filled < read.target.length) continue
      this.#reads.delete(read)
      read.resolve()
    }
    return readTo
  }

  /**
   * The rest of the chunk after `readTo` is not kept: wait for a read that needs what comes after it. Bytes that were
   * read are given to no other read: the origin may have another version by now.
   */
  async #untilWanted(readTo: number, signal: CancelSignal): Promise<void> {
    for (let from = readTo; !signal.aborted; from = this.#serve()) {
      this.#chunk = this.#chunk.subarray(from - this.#position)
      this.#position = from
      const waiting = [...this.#reads]
      if (from === this.#image.sizeBytes || waiting.some(read => nextOf(read) >= from)) return
      if (waiting.length > 0) this.#stop.abort()
      else await this.#untilWoken(signal)
    }
  }

  #untilWoken(signal: CancelSignal): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(() => this.#stop.abort(), this.#parts.idleMs ?? passIdleMs)
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = null
        resolve()
      }
      signal.addEventListener('abort', () => this.#wake?.(), once)
    })
  }

  #refuse(error: unknown): void {
    for (const read of this.#reads) read.reject(error)
    this.#reads.clear()
  }
}

function nextOf({ offset, filled }: WaitingRead): number {
  return offset + filled
}
