/**
 * The end of an image in the store: durably forgotten, then its data file unlinked, then the directory synced. A crash between any
 * two of these leaves at most a file without a record, which the next start removes.
 */
import type { IndexDatabase } from '../index/index-database.ts'
import type { Committer } from './committer.ts'
import type { DataDirectory } from './data-directory.ts'
import type { Health } from './health.ts'
import type { StoredImage } from './stored-image.ts'

export interface RetirementParts {
  /** The images of the store, from which what is retired goes. */
  readonly images: Map<string, StoredImage>
  readonly directory: DataDirectory
  readonly index: IndexDatabase
  readonly committer: Committer
  readonly health: Health
}

export class Retirement {
  readonly #parts: RetirementParts
  readonly #underWay = new Set<string>()

  constructor(parts: RetirementParts) {
    this.#parts = parts
  }

  /** See Store.retire. */
  async retire(imageId: string): Promise<boolean> {
    const { images, directory, index, committer, health } = this.#parts
    const stored = images.get(imageId)
    if (this.#underWay.has(imageId)) return false
    // In this order: attendance ends only when all else allows it.
    if (stored && (stored.heldBytes > 0 || committer.concerns(stored) || !stored.attendance.end())) return false
    this.#underWay.add(imageId)
    try {
      await index.removeImage(imageId)
      if (!stored) return true
      await directory.remove(imageId)
      // Until now whoever asked for the image found this one, which takes nothing: nobody has made its file again.
      stored.file.close()
      images.delete(imageId)
      await directory.sync()
      return true
    } catch (error) {
      health.writeFailed(error)
      // Unlinked and closed, it stays retired: only the name may come back after a crash.
      if (images.has(imageId)) stored?.attendance.resume()
      throw error
    } finally {
      this.#underWay.delete(imageId)
    }
  }
}
