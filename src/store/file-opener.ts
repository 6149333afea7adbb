/**
 * Opens data files: one attempt for each image, which no reader waits for longer than for a read.
 *
 * Making a file on a hanging disk takes until the disk is back. Meanwhile the image is read by proxy, and later readers
 * do not wait at all.
 */
import type { DiskHealth } from './disk/disk-health.ts'
import type { StoredImage } from './image/stored-image.ts'

export class FileOpener {
  readonly #health: DiskHealth
  /** By image id: the image, or null when it could not be opened, or not in time. */
  readonly #openings = new Map<string, Promise<StoredImage | null>>()

  constructor(health: DiskHealth) {
    this.#health = health
  }

  /** Is this image being opened now? */
  isOpening(imageId: string): boolean {
    return this.#openings.has(imageId)
  }

  /**
   * The result of `open`, for every caller that wants that image; null when it takes longer than `readMsMax`.
   * @param open never rejects
   */
  run(imageId: string, open: () => Promise<StoredImage | null>): Promise<StoredImage | null> {
    const known = this.#openings.get(imageId)
    if (known) return known
    const opened = this.#health.watchWrite(open()).finally(() => this.#openings.delete(imageId))
    const inTime = this.#health.waitAsForRead(opened, () => null)
    this.#openings.set(imageId, inTime)
    return inTime
  }
}
