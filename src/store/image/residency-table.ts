/**
 * Residency table of one image, as TypeScript sees it: memory shared with the native readers.
 *
 * 16 bytes an object: `resident u64 | generation u32 | lastUse u32`. The order of changes is the proof that no reader
 * gets a wrong byte: a block is published after its bytes were written, and revoked (bits cleared, **then** the
 * generation bumped) before its bytes go. Readers load generation, bits, bytes, generation.
 */

import type { Geometry } from '../../base/image.ts'
import type { ClaimTable } from './claim-table.ts'

export class ResidencyTable {
  readonly #words64: BigUint64Array
  readonly #words32: Int32Array
  #withheld = false
  /** Objects below this one were seen with all their blocks published, and none was revoked since. */
  #wholeUpTo = 0

  readonly #claims: Pick<ClaimTable, 'removeUnverified'>

  /** @param table 16 bytes an object, little-endian */
  constructor(table: ArrayBuffer, claims: Pick<ClaimTable, 'removeUnverified'>) {
    this.#words64 = new BigUint64Array(table)
    this.#words32 = new Int32Array(table)
    this.#claims = claims
  }

  /** Mask of the blocks that can be served now. */
  resident(object: number): bigint {
    return Atomics.load(this.#words64, object * 2)
  }

  /** Changes whenever bytes under a reader may go. */
  generation(object: number): number {
    return Atomics.load(this.#words32, object * 4 + 2) >>> 0
  }

  /** The bytes of `blocks` are in the file and verified: let readers have them. */
  publish(object: number, blocks: bigint): void {
    if (this.#withheld) return
    Atomics.or(this.#words64, object * 2, blocks)
    this.#claims.removeUnverified(object, blocks)
  }

  /** From now on nothing is published, or again as usual. */
  freeze(withheld: boolean): void {
    this.#withheld = withheld
  }

  /** Take `blocks` from readers. Their bytes may be changed or punched after this, not before. */
  revoke(object: number, blocks: bigint): void {
    this.#wholeUpTo = Math.min(this.#wholeUpTo, object)
    Atomics.and(this.#words64, object * 2, ~blocks & 0xffff_ffff_ffff_ffffn)
    Atomics.add(this.#words32, object * 4 + 2, 1)
    this.#claims.removeUnverified(object, blocks)
  }

  /** Is every block of the image published? */
  isWhole(geometry: Geometry): boolean {
    const isPublished = (object: number) => this.resident(object) === geometry.blocksOf(object)
    while (this.#wholeUpTo < geometry.objects && isPublished(this.#wholeUpTo)) this.#wholeUpTo++
    return this.#wholeUpTo === geometry.objects
  }

  /** Tick of the last use, see `cache/recency-clock.ts`. */
  lastUse(object: number): number {
    return Atomics.load(this.#words32, object * 4 + 3) >>> 0
  }

  touch(object: number, tick: number): void {
    Atomics.store(this.#words32, object * 4 + 3, tick | 0)
  }

  /**
   * Take over last uses at boot.
   * @param pairs object, lastUse, object, lastUse, ...
   * @returns the largest last use
   */
  touchAll(pairs: Uint32Array): number {
    let latest = 0
    for (let k = 0; k < pairs.length; k += 2) {
      if (pairs[k]! * 4 >= this.#words32.length) continue
      this.touch(pairs[k]!, pairs[k + 1]!)
      latest = Math.max(latest, pairs[k + 1]!)
    }
    return latest
  }
}
