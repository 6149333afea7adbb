/**
 * Outcomes of writing and of verifying blocks of a data file, as native-bindings/bridge/store-file.cc makes them.
 */

/** The outcome of writing an extent, one entry per block of the extent. */
export interface WrittenSums {
  /** crc32c of the blocks of all extents, in order; the last block of an image is summed over the bytes it has. */
  readonly sums: Uint32Array
  /** One mask an extent that was written. Bit k: its block k is all zeros, was punched and takes no space. */
  readonly zeros: BigUint64Array
  /** Bytes that share their place with another file instead of being written. */
  readonly clonedBytes: number
  /** The reason why the next extent, and those after it, were not written; null when all were. */
  readonly error: Error | null
}

/** The outcome of a verification, one bit a block; blocks in neither mask are there and wrong. */
export interface Verified {
  readonly good: bigint
  /** The disk gave an error instead of bytes. */
  readonly unread: bigint
}
