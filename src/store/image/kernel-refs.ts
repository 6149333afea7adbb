/**
 * Kernel references of one data file: opens by passthrough, and mappings.
 *
 * Nothing may be punched from a file with kernel references: its readers ask nobody, and would get zeros. We know the
 * opens that we answered. Only the kernel knows those that an earlier process answered, and mappings, which outlive the
 * open they were made from. It is asked whether another descriptor of the file is open, until it says no.
 */
import type { StoreFile } from '../../native/addon.ts'

export class KernelRefs {
  readonly #file: Pick<StoreFile, 'isOpenElsewhere'>
  #count = 0
  /** There is no other reference, and none has come since. */
  #isAlone = false

  constructor(file: Pick<StoreFile, 'isOpenElsewhere'>) {
    this.#file = file
  }

  /** Holds that have begun here and not ended. */
  get count(): number {
    return this.#count
  }

  /** Must every byte stay where it is? */
  get exist(): boolean {
    if (this.#count > 0) return true
    if (this.#isAlone) return false
    try {
      this.#isAlone = !this.#file.isOpenElsewhere()
    } catch (error) {
      // Of a file system that cannot tell no hold ever begins.
      this.#isAlone = (error as NodeJS.ErrnoException).code === 'EINVAL'
    }
    return !this.#isAlone
  }

  /**
   * The kernel is about to be given the file. @returns false where its readers could not be told from none, or there
   * are others
   */
  begin(): boolean {
    if (this.#count === 0 && !this.#canTellAlone()) return false
    this.#count++
    return true
  }

  end(): void {
    this.#count--
    this.#isAlone = false
  }

  #canTellAlone(): boolean {
    try {
      return !this.#file.isOpenElsewhere()
    } catch {
      return false
    }
  }
}
