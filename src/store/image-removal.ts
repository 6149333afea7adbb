/**
 * Removes an image from the store: durably forgotten, then its data file unlinked, then the directory synced. A crash
 * between any two of these leaves at most a file without a record, which the next start removes.
 */
import type { IndexDatabase } from '../index/index-database.ts'
import type { DataDirectory } from './disk/data-directory.ts'
import type { DiskHealth } from './disk/disk-health.ts'
import type { Committer } from './image/committer.ts'
import type { StoredImage } from './image/stored-image.ts'

export interface ImageRemovalContext {
  /** The images of the store, from which what is retired goes. */
  readonly images: Map<string, StoredImage>
  readonly directory: DataDirectory
  readonly index: IndexDatabase
  readonly committer: Committer
  readonly health: DiskHealth
}

export class ImageRemoval {
  readonly #parts: ImageRemovalContext
  readonly #underWay = new Set<string>()

  constructor(parts: ImageRemovalContext) {
    this.#parts = parts
  }

  /** See Store.retire. */
  async remove(imageId: string): Promise<boolean> {
    const { images, directory, index, committer, health } = this.#parts
    const stored = images.get(imageId)
    if (this.#underWay.has(imageId)) return false
    // In this order: attendance ends only when all else allows it.
    if (stored && (stored.heldBytes > 0 || committer.hasPending(stored) || !stored.usageGate.closeIfIdle()))
      return false
    this.#underWay.add(imageId)
    try {
      await index.removeImage(imageId)
      if (!stored) return true
      await directory.remove(imageId)
      // Until now callers got this image, which takes nothing: its file has not been made again.
      stored.file.close()
      images.delete(imageId)
      await directory.sync()
      return true
    } catch (error) {
      health.writeFailed(error)
      // Unlinked and closed, it stays retired: only the name may come back after a crash.
      if (images.has(imageId)) stored?.usageGate.reopen()
      throw error
    } finally {
      this.#underWay.delete(imageId)
    }
  }
}
