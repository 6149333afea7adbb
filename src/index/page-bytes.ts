/**
 * Bytes of a database in the file of the index: the pages in use, not those that became free.
 */
import type { BinaryDatabase } from './lmdb-environment.ts'

/** lmdb's statistics of one database, as far as they are used; its own types leave this open. */
interface PageStats {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

export function pageBytes(database: BinaryDatabase): number {
  const { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages } = database.getStats() as PageStats
  return (treeBranchPageCount + treeLeafPageCount + overflowPages) * pageSize
}
