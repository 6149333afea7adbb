/**
 * Directory of hash trees: a sparse file for each sealed image, named by its id. Nothing in it is trusted: a block is
 * compared with the digest above it whenever it is read.
 */
import { readdir, unlink } from 'node:fs/promises'
import type { HeldDirectory } from '../../base/held-directory.ts'
import type { Engine, StoreFile } from '../../native/addon.ts'
import { treePageBytes } from './limits.ts'

export interface TreeDirectory {
  /** Names of all files. */
  names(): Promise<string[]>
  /** Bytes that a file takes on disk; 0 where there is none. */
  allocatedBytes(name: string): number
  /** Open or create, in the place of what is no tree of that length. @throws SystemError */
  open(name: string, sizeBytes: number): Promise<StoreFile>
  /** No error when it is not there. @throws SystemError */
  remove(name: string): Promise<void>
}

export class RealTreeDirectory implements TreeDirectory {
  readonly #directory: HeldDirectory
  readonly #engine: Engine

  constructor(directory: HeldDirectory, engine: Engine) {
    this.#directory = directory
    this.#engine = engine
  }

  names(): Promise<string[]> {
    return readdir(this.#directory.place)
  }

  allocatedBytes(name: string): number {
    return (this.#directory.look(name)?.blocks ?? 0) * 512
  }

  async open(name: string, sizeBytes: number): Promise<StoreFile> {
    const stat = await this.#directory.lookAside(name)
    if (stat && !(stat.isFile() && stat.nlink === 1 && stat.size <= sizeBytes)) await this.remove(name)
    return await this.#engine.openFile(this.#directory.at(name), sizeBytes, treePageBytes)
  }

  async remove(name: string): Promise<void> {
    try {
      await unlink(this.#directory.at(name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#directory.remove(name)
    }
  }
}
