/**
 * Proofs by hash trees, as native-bindings/bridge/tree-proof.cc defines them. Digests are computed on threads of
 * libuv's pool, and of session threads' reads on threads of their own; the proven leaves of all trees share one memory.
 */
import type { OriginReader } from './origin-reader.ts'

/** The hash of a block: its algorithm and salt. */
export interface BlockHashing {
  readonly algorithm: 'sha256' | 'sha512'
  readonly salt: Uint8Array
  /** As Chrome OS has it: hash type 0. */
  readonly isSaltBehind: boolean
}

export interface TreeShape {
  readonly dataBlocks: number
  readonly dataBlockBytes: number
  /** Digests in a leaf, the lowest kind of block of a tree. */
  readonly digestsPerLeaf: number
}

/** `unknown`: the leaf of the block is not in memory. */
export interface ProofFinding {
  readonly proof: 'right' | 'wrong' | 'unknown'
  /** The first data block that is wrong or unknown. */
  readonly block: number
}

/** The proof of one image's blocks. */
export interface TreeProof {
  /** Take a leaf that is proven. */
  put(index: number, leaf: Uint8Array): void
  /** A copy of a leaf that is in memory; null for another. */
  leaf(index: number): Uint8Array | null
  /** Are the leaves of a range of the image in memory? Never of one that ends behind the data of the tree. */
  knows(offset: number, length: number): boolean
  /**
   * Prove bytes of the image, which may not be changed until it resolves.
   * @param offset a multiple of the data block; bytes behind the data of the tree are passed over
   */
  find(offset: number, bytes: Uint8Array): Promise<ProofFinding>
  /** The same reader, whose answers are right when they are proven. Ranges without their leaves it does not read. */
  guard(reader: OriginReader): OriginReader
  /** The wrong blocks of such readers' answers, the first of each; those that were not taken yet. */
  takeWrong(): number[]
}

export interface TreeProofs {
  /** The reason why nothing can be proven in this process; empty where there is none. */
  verityComplaint(): string
  /**
   * The reason why `content` is not signed by one of the certificates; empty when it is.
   * @param certificates texts in PEM
   * @param signature a detached PKCS#7 in DER or PEM
   */
  signatureComplaint(certificates: readonly string[], signature: Uint8Array, content: Uint8Array): string
  createTreeProof(hashing: BlockHashing, shape: TreeShape): TreeProof
  /**
   * The digests of the blocks of `bytes`, one behind another.
   * @param threads that share the work
   */
  hashBlocks(hashing: BlockHashing, bytes: Uint8Array, blockBytes: number, threads: number): Promise<Buffer>
}
