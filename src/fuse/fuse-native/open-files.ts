/**
 * Handles of open files: fuse-native takes 31 bits, and 0 for none.
 */
import { FsError } from '../filesystem/fs-error.ts'

interface OpenFile {
  readonly path: string
  readonly nodeId: bigint
}

/** The largest handle. */
const handleMax = 2 ** 31 - 1

export class OpenFiles {
  readonly #open = new Map<number, OpenFile>()
  readonly #onRelease: (path: string, nodeId: bigint) => void
  #last: number

  /** @param last the handle before the first one; other than 0 in tests only */
  constructor(onRelease: (path: string, nodeId: bigint) => void, last = 0) {
    this.#onRelease = onRelease
    this.#last = last
  }

  get count(): number {
    return this.#open.size
  }

  /** @returns the handle of one open of `nodeId` under that path */
  add(path: string, nodeId: bigint): number {
    do this.#last = this.#last === handleMax ? 1 : this.#last + 1
    while (this.#open.has(this.#last))
    this.#open.set(this.#last, { path, nodeId })
    return this.#last
  }

  /** @throws Refusal stale-node */
  nodeId(handle: number): bigint {
    const file = this.#open.get(handle)
    if (!file) throw new FsError('stale-node', `no open file has handle ${handle}`)
    return file.nodeId
  }

  /** Of a handle that is not open, nothing. */
  release(handle: number): void {
    const file = this.#open.get(handle)
    if (!file) return
    this.#open.delete(handle)
    this.#onRelease(file.path, file.nodeId)
  }
}
