/**
 * A directory held by a descriptor: files opened, looked at or removed below it lie in that very directory, whatever is
 * renamed or linked above it meanwhile.
 *
 * Names are looked up below `/proc/self/fd/N`, which means the directory itself. It promises that no link in the place
 * of a directory is followed, that nothing on another file system is removed, and that after its close no path leads
 * there any more.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  type Stats,
  unlinkSync,
} from 'node:fs'
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'

/** Nested directories that are removed at once: more than are made by hand, and each keeps a descriptor open. */
export const removeDepthMax = 64

export class HeldDirectory {
  /** The directory as messages call it. */
  readonly path: string
  readonly #fd: number
  #isOpen = true

  private constructor(path: string, fd: number) {
    this.path = path
    this.#fd = fd
  }

  /** Hold the directory at `path`, whose last part is not followed if it is a link. @throws SystemError */
  static open(path: string): HeldDirectory {
    return HeldDirectory.#openAt(path, path)
  }

  static #openAt(place: string, path: string): HeldDirectory {
    return new HeldDirectory(path, openSync(place, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW))
  }

  /** Lent to a child process; it stays ours. */
  get fd(): number {
    if (!this.#isOpen) throw new Error(`${this.path} is no longer held`)
    return this.#fd
  }

  /** A path that means this directory, in this process and while it is held. */
  get place(): string {
    return `/proc/self/fd/${this.fd}`
  }

  /** A path that means what has that name in this directory. */
  at(name: string): string {
    if (name === '' || name === '.' || name === '..' || name.includes('/')) throw new Error(`"${name}" is not a name`)
    return `${this.place}/${name}`
  }

  /** The facts of the directory. */
  get stat(): Stats {
    return fstatSync(this.fd)
  }

  names(): string[] {
    return readdirSync(this.place)
  }

  /** The facts of what has that name, a link for itself; null where nothing does. */
  look(name: string): Stats | null {
    return lstatSync(this.at(name), { throwIfNoEntry: false }) ?? null
  }

  /** The same, off the event loop: a name that is not known to the kernel is read from the disk, which may hang. */
  async lookAside(name: string): Promise<Stats | null> {
    try {
      return await lstat(this.at(name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
  }

  /** Hold a directory in this one. @throws SystemError, ENOTDIR for a link */
  below(name: string): HeldDirectory {
    return HeldDirectory.#openAt(this.at(name), join(this.path, name))
  }

  /** The same; it is made, for its owner alone, when nothing has that name. @throws SystemError */
  made(name: string): HeldDirectory {
    if (!this.look(name)) mkdirSync(this.at(name), { mode: 0o700 })
    return this.below(name)
  }

  /**
   * Remove the entry of that name, if there is one, with its whole content; a link is removed itself. @throws
   * SystemError
   */
  remove(name: string): void {
    this.#remove(name, 1)
  }

  /** Make names durable that came and went. */
  sync(): void {
    fsyncSync(this.fd)
  }

  /** Idempotent. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSync(this.#fd)
  }

  #remove(name: string, depth: number): void {
    const facts = this.look(name)
    if (!facts) return
    if (!facts.isDirectory()) {
      unlinkSync(this.at(name))
      return
    }
    const inner = this.below(name)
    try {
      if (inner.stat.dev !== this.stat.dev) throw new Error(`${inner.path} is another file system: unmount it`)
      if (depth > removeDepthMax) throw new Error(`${inner.path}: directories lie deeper than ${removeDepthMax}`)
      for (const below of inner.names()) inner.#remove(below, depth + 1)
    } finally {
      inner.close()
    }
    rmdirSync(this.at(name))
  }
}
