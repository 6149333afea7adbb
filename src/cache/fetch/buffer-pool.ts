/**
 * Buffer pool for bytes on their way from an origin. Buffers are lent, and reused once they are free: new ones for each
 * fetch would have V8 collect all of its heap every 32 MiB, which costs more than receiving and storing them
 * (docs/PERFORMANCE.md). Lent and free ones together are as many bytes as were lent at once of late.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'

/** A buffer that is lent to one holder or several. */
export class PooledBuffer {
  readonly bytes: Uint8Array
  readonly #onEnd: (mayBeUsedAgain: boolean) => void
  // INVARIANT: nobody holds it once this is 0, and then it stays 0.
  #holders = 1

  constructor(bytes: Uint8Array, onEnd: (mayBeUsedAgain: boolean) => void) {
    this.bytes = bytes
    this.#onEnd = onEnd
  }

  /** One holder more. */
  retain(): void {
    if (this.#holders === 0) throw new Error('a lease is held after its end')
    this.#holders++
  }

  /** One holder less, which does not look at the bytes any more. Each calls it once. */
  release(): void {
    if (this.#holders === 0) throw new Error('a lease is released after its end')
    if (--this.#holders === 0) this.#onEnd(true)
  }

  /** Its only holder cannot tell whether it is still being written to: it is not lent again. */
  discard(): void {
    if (this.#holders !== 1) throw new Error('a lease is abandoned that others hold')
    this.#holders = 0
    this.#onEnd(false)
  }
}

/** Buffers are powers of two, and smaller ones are not worth keeping. */
const keptBytesMin = 16 * 1024
/** Long ones are seen by all threads: another one may receive into them. */
const sharedBytesMin = 2 ** 20

export interface BufferPoolLimits {
  /** Bytes that are lent or kept for later: more than that is lent, and not kept. */
  readonly keptBytesMax: number
  /** The time for which bytes are kept of which fewer are lent: this long, and twice as long at most. */
  readonly idleMs: number
}

const limitsDefault: BufferPoolLimits = { keptBytesMax: 80 * 2 ** 20, idleMs: 5_000 }

export class BufferPool {
  /** Free ones by their length. */
  readonly #free = new Map<number, Uint8Array[]>()
  readonly #allocateShared: (bytes: number) => Uint8Array
  readonly #limits: BufferPoolLimits
  #lentBytes = 0
  #freeBytes = 0
  /** Most bytes that were lent at once since the last look, and between the two before it. */
  #highestBytes = 0
  #highestBytesBefore = 0
  readonly #looks: PeriodicTask

  /** @param allocateShared makes memory that all threads see */
  constructor(limits: Partial<BufferPoolLimits> = {}, allocateShared = plainShared) {
    this.#allocateShared = allocateShared
    this.#limits = { ...limitsDefault, ...limits }
    this.#looks = new PeriodicTask(this.#limits.idleMs, () => this.#look())
  }

  /** Is more lent than would be kept? */
  get isScarce(): boolean {
    return this.#lentBytes > this.#limits.keptBytesMax
  }

  /** Bytes that are kept for later. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** @returns memory with anything in it */
  lend(bytes: number): PooledBuffer {
    if (bytes < keptBytesMin) return new PooledBuffer(Buffer.allocUnsafeSlow(bytes), () => {})
    const size = 2 ** Math.ceil(Math.log2(bytes))
    const whole = this.#take(size) ?? this.#take(2 * size) ?? this.#allocate(size)
    this.#lentBytes += whole.length
    this.#highestBytes = Math.max(this.#highestBytes, this.#lentBytes)
    return new PooledBuffer(whole.subarray(0, bytes), mayBeUsedAgain => {
      this.#lentBytes -= whole.length
      if (mayBeUsedAgain) this.#keep(whole)
    })
  }

  #allocate(size: number): Uint8Array {
    return size < sharedBytesMin ? Buffer.allocUnsafeSlow(size) : this.#allocateShared(size)
  }

  #take(size: number): Uint8Array | undefined {
    const found = this.#free.get(size)?.pop()
    if (found) this.#freeBytes -= size
    return found
  }

  #keep(buffer: Uint8Array): void {
    // Those of other lengths have been free for longer: a stream that has found its pace never takes them again.
    this.#drop(this.#excessBytes + buffer.length, buffer.length)
    if (this.#excessBytes + buffer.length > 0) return
    const alike = this.#free.get(buffer.length) ?? []
    alike.push(buffer)
    this.#free.set(buffer.length, alike)
    this.#freeBytes += buffer.length
    this.#looks.start()
  }

  /** Bytes over those that are worth keeping; negative when there is room. */
  get #excessBytes(): number {
    const wantedBytes = Math.max(this.#highestBytes, this.#highestBytesBefore)
    return this.#lentBytes + this.#freeBytes - Math.min(wantedBytes, this.#limits.keptBytesMax)
  }

  /** Drop so many free bytes as far as there are any, and none of the length `spared`. */
  #drop(bytes: number, spared = 0): void {
    let left = bytes
    for (const [size, alike] of this.#free) {
      for (; size !== spared && left > 0 && alike.pop(); left -= size) this.#freeBytes -= size
    }
  }

  #look(): void {
    this.#highestBytesBefore = this.#highestBytes
    this.#highestBytes = this.#lentBytes
    this.#drop(this.#excessBytes)
    if (this.#freeBytes === 0) this.#looks.stop()
  }
}

/** A lease that begins when it is first asked for. */
export class LazyBuffer {
  readonly #memory: BufferPool
  readonly #bytes: number
  #lease: PooledBuffer | null = null

  constructor(memory: BufferPool, bytes: number) {
    this.#memory = memory
    this.#bytes = bytes
  }

  get lease(): PooledBuffer {
    this.#lease ??= this.#memory.lend(this.#bytes)
    return this.#lease
  }

  /** The only holder gives it back. @param hasFailed whether it may still be written to */
  end(hasFailed: boolean): void {
    if (hasFailed) this.#lease?.discard()
    else this.#lease?.release()
  }
}

function plainShared(bytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(bytes))
}
