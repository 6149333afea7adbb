/**
 * Seal of an image: its hash tree, and the reason why the root hash is trusted.
 */
import { createHash } from 'node:crypto'
import type { Image } from '../../base/image.ts'
import type { HashTree } from './hash-tree.ts'
import type { TreeParameters } from './superblock.ts'
import type { KeptTree } from './tree-runs.ts'
import type { Delta } from './version-delta.ts'

/**
 * `configured`: the operator named the root hash; `signed`: by a configured certificate; `pinned`: the first one that
 * came is kept. It came the same way as the image, and proves nothing against that way.
 */
export const sealTrusts = ['configured', 'signed', 'pinned'] as const
export type SealTrust = (typeof sealTrusts)[number]

/** A seal, as the index keeps it: the tree, and its place. */
export interface SealRecord {
  readonly parameters: TreeParameters
  /** In hex. */
  readonly rootHash: string
  readonly trust: SealTrust
  /** Of `signed`: the digest of the certificates' text by which it is; null of others. Earlier records have none. */
  readonly signer: string | null
  /** The file with the tree: another one beside the image, or the image itself. */
  readonly file: Image
  /** The superblock in that file. */
  readonly offset: number
}

export interface Seal {
  readonly record: SealRecord
  readonly tree: HashTree
  /** Null: no older version is of use. */
  delta: Delta | null
  /** The reason why not, where there is one with another salt or shape. */
  readonly deltaComplaint: string | null
}

/** The seal of an image for status; `record` null: none, for that reason, or it was not looked for yet. */
export interface KnownSeal {
  readonly record: SealRecord | null
  readonly reason: string | null
  /** The reason why nothing is taken from an older version; null where there is none. */
  readonly deltaComplaint: string | null
}

/** The place where seals and trees are kept, on the disk of the cache. Without one everything is asked for again. */
export interface SealKeeper {
  record(imageId: string): SealRecord | null
  /** Never rejects. */
  putRecord(image: Image, record: SealRecord): Promise<void>
  /** The file of a tree. Blocks of it may be anybody's: they are proven when they are read. */
  tree(imageId: string, bytes: number): KeptTree
}

export const noTree: KeptTree = { read: async () => false, write: async () => {} }
export const noKeeper: SealKeeper = { record: () => null, putRecord: async () => {}, tree: () => noTree }

/** Tells PEM texts of certificates apart, in hex. */
export function digestOfCertificates(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
