/**
 * Profile replay: the fetches of one boot profile after a cold open.
 *
 * A trusted profile is fetched at once. Of another one a first part is fetched; each further part, twice as long,
 * follows when enough of the one before was read. Pure, but for the fetch that it is given.
 */

import { profileTrialBytes, profileTrialShareMin } from './limits.ts'

export interface ReplayOptions {
  /** In the order in which they are fetched. */
  readonly blocks: readonly number[]
  readonly blockBytes: number
  /** Fetch all of it at once. */
  readonly isTrusted: boolean
  readonly fetch: (blocks: readonly number[]) => void
}

export class ProfileReplay {
  readonly #options: ReplayOptions
  /** The number of blocks that were asked for. */
  #fetched = 0
  /** The blocks of the part that was fetched last and that were not read yet; empty when no part follows. */
  #unread = new Set<number>()
  #partBlocks = 0

  constructor(options: ReplayOptions) {
    const { blocks, blockBytes, isTrusted } = options
    this.#options = options
    this.#fetchPart(isTrusted ? blocks.length : Math.max(1, profileTrialBytes / blockBytes))
  }

  /** The blocks that were asked for. */
  get fetched(): readonly number[] {
    return this.#options.blocks.slice(0, this.#fetched)
  }

  /** A block is read. */
  read(block: number): void {
    if (!this.#unread.delete(block)) return
    if (this.#unread.size <= this.#partBlocks * (1 - profileTrialShareMin)) this.#fetchPart(this.#partBlocks * 2)
  }

  #fetchPart(count: number): void {
    const { blocks, fetch } = this.#options
    const part = blocks.slice(this.#fetched, this.#fetched + count)
    this.#fetched += part.length
    this.#partBlocks = part.length
    this.#unread = new Set(this.#fetched < blocks.length ? part : [])
    if (part.length > 0) fetch(part)
  }
}
