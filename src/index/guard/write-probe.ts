/**
 * Write probe: finds out whether the database file can be written before LMDB tries to, and reserves room behind its
 * end.
 *
 * A page that LMDB cannot write costs more than the write: its error message goes into 100 bytes, whatever its length,
 * which damages the heap and ends the process sooner or later. So a full or a read-only file system has to be met here.
 * The reserved room lets records be removed on a full disk too.
 *
 * Source: lmdb 3.5, dependencies/lmdb/libraries/liblmdb/mdb.c, mdb_page_flush: sprintf into malloc(100) of up to 126
 * bytes, some of them from iov entries that were never set.
 */

/** See Engine.reserveAfterEnd. */
export type ReserveAfterEnd = (path: string, bytes: number) => Promise<void>

export class WriteProbe {
  readonly #reserve: () => Promise<void>
  /** The last check that was asked for. */
  #last: Promise<unknown> = Promise.resolve()
  /** A probe that has not begun: callers that come meanwhile share it. */
  #next: Promise<void> | null = null

  /** @param bytes to keep behind the end */
  constructor(path: string, bytes: number, reserveAfterEnd: ReserveAfterEnd) {
    this.#reserve = () => reserveAfterEnd(path, bytes)
  }

  /** Settles in the order of the calls. @throws SystemError when the file cannot be written, or cannot grow */
  run(): Promise<void> {
    if (this.#next) return this.#next
    const next = this.#last.then(() => {
      this.#next = null
      return this.#reserve()
    })
    this.#next = next
    this.#last = next.catch(() => {}) // Its callers hear of it.
    return next
  }
}
