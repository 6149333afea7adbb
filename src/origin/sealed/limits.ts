/**
 * Limits of origin/sealed/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'

/** Blocks of a tree. Source: cryptsetup lib/verity/verity.h, VERITY_BLOCK_SIZE_OK. */
export const treeBlockBytesMin = 512
export const treeBlockBytesMax = 512 * KiB

/** Source: cryptsetup lib/verity/verity.c, struct verity_sb. */
export const superblockBytes = 512
export const saltBytesMax = 256

/**
 * Levels that a tree may have: what a tree of 2^53 bytes needs, with 8 digests in a block. Source: cryptsetup
 * lib/verity/verity_hash.c, VERITY_MAX_LEVELS is 63.
 */
export const treeLevelsMax = 15

/**
 * Bytes of one level that are fetched together: the leaves of 16 MiB of data. A tree is 1/127 of its image, so that a
 * stream asks for them once in 256 blocks.
 */
export const treeRunBytes = 128 * KiB

/** Streams of one image that are told apart where its leaves are fetched singly: a boot reads some files at once. */
export const leafStreamsMax = 16

/** Requests for the blocks of one run that other versions lack, at once. */
export const treeRequestsMax = 8

/** Blocks above the leaves in memory, those of all images: 1 GiB of leaves, 128 GiB of data. Leaves have 24 MiB. */
export const upperBlocksBytesMax = 8 * MiB

/** Answers for one range that may differ from the tree before its read fails: two mistakes of a server are likely. */
export const wrongAnswersMax = 3

/** The first pause before a range is fetched again that differed; it doubles. */
export const wrongPauseMsMin = 50

/** Images of an origin whose seals are known: a kilobyte each. */
export const sealsMax = 1_024

/** Files with a root hash, and with its signature: a certificate chain is some kilobytes. */
export const rootHashFileBytesMax = 4 * KiB
export const signatureFileBytesMax = 256 * KiB

/** The time of an answer "there is no tree", before it is asked for again. */
export const unsealedMs = 60_000

/** Wrong blocks of one answer that are looked for one by one: each is a search of its own. */
export const locatedBlocksMax = 64

/** Damaged blocks of a kept tree that are remembered: one more is counted again when it is met again. */
export const damagedBlocksMax = 1024

/** Bytes of a sequential image that are proven together. A multiple of each data block. */
export const provenPieceBytes = 1 * MiB

/** Blocks of an older version that can be found at other offsets: 4 GiB with blocks of 4 KiB, in a table of 16 MiB. */
export const movedLeavesMax = 2 ** 20

/** The longest that a read waits for that table. */
export const movedWaitMs = 500

/** Blocks that were taken and may not be written yet: 64 MiB with blocks of 4 KiB, a hundred bytes each. */
export const takenBlocksMax = 2 ** 14

/** Requests of one read for the blocks that an older version lacks, at once. */
export const deltaRequestsMax = 8

/** Stretches of a new version that may be fresh: a block of 64 KiB. */
export const stretchBytes = 64 * KiB

/** Stretches of one image: 128 GiB, 256 KiB of bits. A larger one goes by TypeScript until its upgrade is over. */
export const stretchesMax = 2 ** 21
