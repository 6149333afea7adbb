/**
 * Fresh stretches: the stretches of a new version of which the older one has no block that is held, a bit each. Session
 * threads read them at the origin by themselves while everything else is taken from the older version.
 *
 * A stretch that is wrongly left out is TypeScript's. Bits stay as they are: what the older version gets later on is
 * fetched, and proven like everything else.
 */
import type { OriginReader } from '../../native/origin-reader.ts'
import type { UnitPermits, UnitPermitTables } from '../../native/unit-permits.ts'
import { stretchBytes, stretchesMax } from './limits.ts'

/** A run of bytes, and its place in the older version; null: it is not held there. */
interface ComparedRun {
  readonly offset: number
  readonly length: number
  readonly source: number | null
}

/** Bytes that are compared together. */
export const lookBytes = 8 * stretchBytes

export class FreshStretches {
  readonly #sizeBytes: number
  readonly #permits: UnitPermits | null
  /** Looks that were begun, bit by bit. */
  readonly #looks: Uint8Array

  /** @param sizeBytes of the data of the new version */
  constructor(sizeBytes: number, tables: UnitPermitTables) {
    this.#sizeBytes = sizeBytes
    const stretches = Math.ceil(sizeBytes / stretchBytes)
    const isBounded = stretches <= stretchesMax
    this.#permits = isBounded ? tables.createUnitPermits(stretchBytes, stretches) : null
    this.#looks = new Uint8Array(isBounded ? Math.ceil(stretches / 64) : 0)
  }

  /** The same reader, for what is fresh now and later; null: the image is too large to tell. */
  guard(reader: OriginReader): OriginReader | null {
    return this.#permits?.guard(reader) ?? null
  }

  /** The ranges around a read that nobody has looked at yet. From now on somebody has. */
  *unseen(offset: number, length: number): Generator<{ readonly offset: number; readonly length: number }> {
    if (!this.#permits) return
    const end = Math.min(offset + length, this.#sizeBytes)
    for (let look = Math.floor(offset / lookBytes); look * lookBytes < end; look++) {
      const bit = 1 << (look & 7)
      if ((this.#looks[look >> 3]! & bit) !== 0) continue
      this.#looks[look >> 3]! |= bit
      yield { offset: look * lookBytes, length: Math.min(lookBytes, this.#sizeBytes - look * lookBytes) }
    }
  }

  /** A range could not be compared: it may be looked at again. */
  unsee(offset: number): void {
    const look = Math.floor(offset / lookBytes)
    this.#looks[look >> 3]! &= ~(1 << (look & 7))
  }

  /** The runs of a range that was compared. */
  compared(runs: readonly ComparedRun[]): void {
    for (const { offset, length, source } of runs) {
      if (source !== null) continue
      const first = Math.ceil(offset / stretchBytes)
      const end = offset + length
      const last = end === this.#sizeBytes ? Math.ceil(end / stretchBytes) : Math.floor(end / stretchBytes)
      for (let stretch = first; stretch < last; stretch++) this.#permits?.permit(stretch)
    }
  }
}
