/**
 * Unpacked units: stretches of disks that were unpacked whole, kept for the reads that want another part of them. Reads
 * that want the same unit at the same time share the batch that unpacks it; it ends with its last waiter.
 *
 * A read of a large cluster comes block by block, and the first part of a block before the rest: each unit is fetched
 * and unpacked once all the same.
 */
import { abortable } from '../../async/abortable.ts'
import { ByteSemaphore } from '../../async/byte-semaphore.ts'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { ReadOptions } from '../contract/origin.ts'
import { unitBytesMax, unpackBatchBytesMax, unpackingBytesMax } from './limits.ts'

/** Units by their numbers. */
export type Units = ReadonlyMap<number, Uint8Array>

interface Batch {
  readonly units: Promise<Units>
  readonly cancel: LightAbortSignal
  waiters: number
}

/** The units of one disk that a read wants. */
export interface UnitsWanted {
  /** Names the version of the disk. */
  readonly disk: string
  readonly unitBytes: number
  /** In ascending order. */
  readonly numbers: readonly number[]
  /** Unpacks some of them, whose numbers follow each other. */
  readonly unpack: (numbers: readonly number[], options: ReadOptions) => Promise<Units>
}

export class UnpackedUnits {
  readonly #kept: LruMap<string, Uint8Array>
  readonly #batches = new Map<string, Batch>()
  readonly #unpacking = new ByteSemaphore(unpackingBytesMax)

  constructor(bytesMax: number = unitBytesMax) {
    this.#kept = new LruMap(bytesMax, { weightOf: unit => unit.length })
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#kept.weight
  }

  /**
   * All units that are wanted.
   * @returns `isFresh` when something was unpacked for it
   */
  async get(wanted: UnitsWanted, options: ReadOptions): Promise<{ readonly units: Units; readonly isFresh: boolean }> {
    const units = new Map<number, Uint8Array>()
    const batches = new Set<Batch>()
    const missing: number[] = []
    for (const number of wanted.numbers) {
      const key = keyOf(wanted.disk, number)
      const kept = this.#kept.use(key)
      const batch = this.#batches.get(key)
      if (kept) units.set(number, kept)
      else if (batch) batches.add(batch)
      else missing.push(number)
    }
    for (const run of runsOfUnits(missing, Math.max(1, unpackBatchBytesMax / wanted.unitBytes))) {
      batches.add(this.#start(wanted, run, options))
    }
    for (const fresh of await this.#wait([...batches], options)) {
      for (const [number, unit] of fresh) units.set(number, unit)
    }
    return { units, isFresh: batches.size > 0 }
  }

  #start({ disk, unitBytes, unpack }: UnitsWanted, numbers: readonly number[], options: ReadOptions): Batch {
    const cancel = new LightAbortSignal()
    const shared = { opener: options.opener, signal: cancel }
    const bytes = numbers.length * unitBytes
    const units = this.#unpacking.run(bytes, cancel, () => unpack(numbers, shared), options.opener)
    const batch: Batch = { units, cancel, waiters: 0 }
    const keys = numbers.map(number => keyOf(disk, number))
    for (const key of keys) this.#batches.set(key, batch)
    const end = () => {
      for (const key of keys) if (this.#batches.get(key) === batch) this.#batches.delete(key)
    }
    units.then(
      made => {
        end()
        for (const [number, unit] of made) this.#kept.set(keyOf(disk, number), unit)
      },
      end, // Its waiters see the error.
    )
    cancel.addEventListener('abort', end)
    return batch
  }

  async #wait(batches: readonly Batch[], { signal }: ReadOptions): Promise<Units[]> {
    for (const batch of batches) batch.waiters++
    try {
      return await abortable(Promise.all(batches.map(({ units }) => units)), signal)
    } finally {
      for (const batch of batches) {
        batch.waiters--
        if (batch.waiters === 0) batch.cancel.abort()
      }
    }
  }
}

function keyOf(disk: string, unit: number): string {
  return `${disk} ${unit}`
}

/** Numbers that follow each other, in runs of at most `countMax`. */
function runsOfUnits(numbers: readonly number[], countMax: number): number[][] {
  const runs: number[][] = []
  for (const number of numbers) {
    const run = runs.at(-1)
    if (run && run.length < countMax && run.at(-1) === number - 1) run.push(number)
    else runs.push([number])
  }
  return runs
}
