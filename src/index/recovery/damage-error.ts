/**
 * Errors by which LMDB says that it cannot follow the pages of its file.
 *
 * Source: lmdb 3.5, dependencies/lmdb/libraries/liblmdb/lmdb.h: LMDB's own codes lie from MDB_KEYEXIST (-30799) up to
 * MDB_LAST_ERRCODE, which is below -30700; those of the system are positive. lmdb's errors have them in `code`.
 */

const [codeMin, codeMax] = [-30_799, -30_700]

/** Does `error` come from LMDB itself, and not from the disk, from memory or from us? */
export function saysDamage(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return typeof code === 'number' && code >= codeMin && code <= codeMax
}
