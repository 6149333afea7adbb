/**
 * Errors by which LMDB says that it cannot follow the pages of its file, or that a page number in it means no place.
 *
 * Source: lmdb 3.5, dependencies/lmdb/libraries/liblmdb/lmdb.h: LMDB's own codes lie from MDB_KEYEXIST (-30799) up to
 * MDB_LAST_ERRCODE, which is below -30700; those of the system are positive. lmdb's errors have them in `code`.
 */

const [codeMin, codeMax] = [-30_799, -30_700]
/**
 * EINVAL and EFBIG: a page is written at an offset that no file has.
 * Source: Linux include/uapi/asm-generic/errno-base.h.
 */
const offsetCodes = new Set<unknown>([22, 27])

/** True for an error of damage: not of the disk, of memory or of parentfs. */
export function saysDamage(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return (typeof code === 'number' && code >= codeMin && code <= codeMax) || offsetCodes.has(code)
}

/**
 * True for MDB_BAD_TXN. lmdb compares its list of free pages with what it has reserved for it, and refuses the commit
 * where they differ, which was seen for whole files as well. Nothing of the transaction is written, and the next one
 * reads that list anew.
 *
 * Source: lmdb 3.5, dependencies/lmdb/libraries/liblmdb/mdb.c, mdb_freelist_save.
 */
export function refusesTransaction(error: unknown): boolean {
  return ((error ?? {}) as { readonly code?: unknown }).code === -30_782
}
