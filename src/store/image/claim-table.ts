/**
 * Claim table of one image: the blocks that are on their way, in memory shared with the session threads, so that each
 * is fetched once whether they or TypeScript wanted it.
 *
 * 16 bytes an object: `claimed u64 | unverified u64`. A promotion publishes a block before its claim goes; session
 * threads claim before they look at the published blocks again (native-bindings/image/inflight-table.h). `unverified`
 * are blocks that were recorded before this start: session threads leave them to TypeScript, which looks at the disk
 * first.
 */

const allOnes = 0xffff_ffff_ffff_ffffn

export class ClaimTable {
  readonly #words: BigUint64Array
  /** The same, four an object: a look at them makes no bigint. */
  readonly #words32: Int32Array

  /** @param table 16 bytes an object, little-endian */
  constructor(table: ArrayBuffer) {
    this.#words = new BigUint64Array(table)
    this.#words32 = new Int32Array(table)
  }

  /** Mask of the blocks that are on their way. */
  claimed(object: number): bigint {
    return Atomics.load(this.#words, object * 2)
  }

  /** Objects from `first` to before `end` with a block on its way. A claim that is made meanwhile may be missed. */
  *claimedObjects(first: number, end: number): Generator<number> {
    const last = Math.min(end, this.#words32.length / 4)
    for (let object = first; object < last; object++) {
      if ((this.#words32[object * 4]! | this.#words32[object * 4 + 1]!) !== 0) yield object
    }
  }

  /** Claim `blocks`. @returns those that had no claim: they are the caller's, to be released once */
  claim(object: number, blocks: bigint): bigint {
    return blocks & ~Atomics.or(this.#words, object * 2, blocks)
  }

  /** They are published, or do not come. */
  release(object: number, blocks: bigint): void {
    Atomics.and(this.#words, object * 2, ~blocks & allOnes)
  }

  /** Recorded before this start, and not verified yet. */
  addUnverified(object: number, blocks: bigint): void {
    Atomics.or(this.#words, object * 2 + 1, blocks)
  }

  /** They were published, or given up. */
  removeUnverified(object: number, blocks: bigint): void {
    Atomics.and(this.#words, object * 2 + 1, ~blocks & allOnes)
  }
}
