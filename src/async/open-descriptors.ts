/**
 * A bounded number of open files, or of whatever else is opened and closed; the least recently used is closed first.
 *
 * A file in use is never closed under its user: it leaves the table and is closed by the last one.
 */
import { CacheError } from '../base/errors.ts'
import { LruMap } from '../base/lru-map.ts'

/** The methods of a file handle that are used here. */
export interface Closable {
  close(): void | Promise<void>
}

interface Entry<Handle> {
  readonly handle: Promise<Handle>
  users: number
  /** False once it has left the table: the last user closes it. */
  kept: boolean
}

export class OpenDescriptors<Handle extends Closable> {
  readonly #entries: LruMap<string, Entry<Handle>>
  #closed = false

  /** @param max unused files that stay open */
  constructor(max: number) {
    this.#entries = new LruMap(max, {
      // Closing a descriptor that was only read reports nothing to act on.
      onLeave: entry => void leave(entry).catch(() => {}),
    })
  }

  /** Files kept open. */
  get size(): number {
    return this.#entries.size
  }

  /**
   * Call `work` with the file called `name`, opened by `open` if it is not open yet. Rejects as `open` or `work` does.
   * @throws CacheError closed
   */
  async use<T>(name: string, open: () => Promise<Handle>, work: (handle: Handle) => Promise<T>): Promise<T> {
    if (this.#closed) throw new CacheError('closed', `${name}: the origin has been closed`)
    const entry = this.#entries.get(name) ?? { handle: open(), users: 0, kept: true }
    this.#entries.set(name, entry)
    entry.users++
    try {
      return await work(await entry.handle)
    } finally {
      entry.users--
      if (entry.kept) await this.#dropIfFailed(name, entry)
      else await closeUnused(entry)
    }
  }

  /** Forget the file called `name`; it is closed when its last user is done. */
  async drop(name: string): Promise<void> {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    this.#entries.delete(name)
    await leave(entry)
  }

  /** Drop all, and open no more. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#entries.keys()].map(name => this.drop(name)))
  }

  /** An open that failed is not remembered: the next use tries again. */
  async #dropIfFailed(name: string, entry: Entry<Handle>): Promise<void> {
    const failed = await entry.handle.then(
      () => false,
      () => true,
    )
    if (failed && this.#entries.get(name) === entry) await this.drop(name)
  }
}

/** It has left the table. */
async function leave(entry: Entry<Closable>): Promise<void> {
  entry.kept = false
  await closeUnused(entry)
}

async function closeUnused(entry: Entry<Closable>): Promise<void> {
  if (entry.users > 0) return
  const handle = await entry.handle.catch(() => null)
  await handle?.close()
}
