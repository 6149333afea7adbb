/**
 * Loads the index at boot: data files opened, blocks held and not published. Records whose file is missing or has
 * another size are forgotten, and files without a record removed. An image over the size limit is forgotten with its
 * names, before its file is opened: it was recorded by an earlier version, or by a damaged index.
 */
import type { Image } from '../base/image.ts'
import type { Logger } from '../base/logger.ts'
import type { IndexDatabase } from '../index/index-database.ts'
import { imageBytesMax } from '../origin/wrappers/limits.ts'
import type { DataDirectory } from './disk/data-directory.ts'
import type { StoredImage } from './image/stored-image.ts'

export interface LoadIndexContext {
  readonly index: IndexDatabase
  readonly directory: DataDirectory
  readonly logger: Logger
  /** Those of the store, empty yet. */
  readonly images: Map<string, StoredImage>
  /** Open the data file of an image, and put it among `images`. */
  readonly open: (image: Image) => Promise<StoredImage>
}

/**
 * @returns the largest last use that was saved
 * @throws CacheError index-failed; SystemError
 */
export async function loadIndex({ index, directory, logger, images, open }: LoadIndexContext): Promise<number> {
  for (const { image } of index.images()) {
    if (image.sizeBytes > imageBytesMax) await forgetTooLarge(image, index, logger)
    else if (directory.sizeOf(image.id) === image.sizeBytes) await open(image)
  }
  const adopted = new Set<StoredImage>()
  const dropped = new Set<string>()
  let latestUse = 0
  let current: StoredImage | undefined
  index.forEachObject((imageId, object, record) => {
    if (dropped.has(imageId)) return
    if (current?.imageId !== imageId) {
      const stored = images.get(imageId)
      if (!stored) {
        dropped.add(imageId)
        return
      }
      current = stored
      adopted.add(stored)
      latestUse = Math.max(latestUse, stored.residency.touchAll(index.recency(imageId) ?? new Uint32Array()))
    }
    if (object < current.geometry.objects) current.adopt(object, record)
  })
  for (const imageId of dropped) {
    logger.warn(
      { imageId },
      'the index knows blocks of an image whose data file is missing or has another size; they are forgotten',
    )
    await index.removeObjects(imageId)
  }
  for (const stored of [...images.values()]) {
    if (adopted.has(stored)) continue
    stored.file.close()
    images.delete(stored.imageId)
  }
  for (const name of await directory.names()) if (!images.has(name)) await directory.remove(name)
  return latestUse
}

async function forgetTooLarge(
  { id, origin, key, sizeBytes }: Image,
  index: IndexDatabase,
  logger: Logger,
): Promise<void> {
  logger.warn(
    { image: key, sizeBytes, imageBytesMax },
    'the index knows an image that is larger than any may be; it is forgotten',
  )
  for (const { name, imageId } of index.names(origin)) if (imageId === id) await index.removeName(origin, name)
  await index.removeImage(id)
}
