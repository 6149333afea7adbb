/**
 * Records of the index, as callers give and get them.
 */

/** Blocks to be added to the record of one object. */
export interface RecordEntry {
  readonly imageId: string
  readonly object: number
  /** Asked inside the transaction: blocks that were revoked meanwhile are left out. */
  readonly blocks: () => bigint
  /** Those that are all zeros, where they are among `blocks`. */
  readonly zero: bigint
  /** 64 entries, valid where `blocks` has a bit. */
  readonly sums: Uint32Array
}

/** Blocks to be taken out of the record of one object; all 64 remove the record. */
export interface ForgetEntry {
  readonly imageId: string
  readonly object: number
  readonly blocks: bigint
}

/** The outcome of comparing a whole image with its publisher's digest. */
export interface DigestRecord {
  /** `none`: the publisher gives none. */
  readonly state: 'none' | 'verified' | 'mismatch'
  readonly algorithm: string | null
  /** In hex: what the publisher says, and what the bytes are. */
  readonly published: string | null
  readonly computed: string | null
}

/** A name of an origin whose image is never evicted. */
export interface PinRecord {
  readonly name: string
  /** Milliseconds since 1970: older pins come first where not all can be kept. */
  readonly pinnedMs: number
}

/** A mode that an operator said: see cache/modes/mode-table.ts. */
export interface ModeRecord {
  /** The image's; empty for its origin, or the mount. */
  readonly name: string
  readonly mode: string
  /** The mode that the configuration said there then; null: none. */
  readonly over: string | null
}

/** The reads of an image after a cold open: see cache/prefetch/boot-profile.ts. */
export interface ProfileRecord {
  readonly blockBytes: number
  /** The number of openers that it was learned from. */
  readonly openers: number
  /**
   * In the order in which they were read: first block, count, and the number of openers in a row for which they have
   * gone unread.
   */
  readonly runs: readonly (readonly [number, number, number])[]
}

/** A hit set: the objects of an origin that were used in one period. */
export interface HitSetRecord {
  readonly type: string
  /** Begin of the period, milliseconds since 1970. */
  readonly startedMs: number
  readonly content: Buffer
}
