/**
 * Held versions: images of the store by their names, from which a new version takes equal blocks.
 */
import type { Image } from '../../base/image.ts'
import type { HeldVersions } from '../../origin/sealed/version-delta.ts'
import type { StoredImage } from '../image/stored-image.ts'

export interface VersionStore {
  images(): Iterable<StoredImage>
  find(imageId: string): StoredImage | null
}

export function heldVersionsOf(store: VersionStore): HeldVersions {
  return {
    olderThan: ({ id, origin, key }) =>
      [...store.images()]
        .filter(
          ({ image, heldBytes }) => image.key === key && image.origin === origin && image.id !== id && heldBytes > 0,
        )
        .sort((a, b) => b.heldBytes - a.heldBytes)
        .map(({ image }): Image => image),
    holds: (imageId, offset, length) => {
      const stored = store.find(imageId)
      if (!stored || offset + length > stored.image.sizeBytes) return false
      return stored.geometry.parts(offset, length).every(({ object, blocks }) => (blocks & ~stored.held(object)) === 0n)
    },
    read: async (imageId, offset, target) => {
      const stored = store.find(imageId)
      if (!stored || offset + target.length > stored.image.sizeBytes) return false
      for (const { object, blocks } of stored.geometry.parts(offset, target.length)) {
        // Held since before this start, and not compared yet.
        const unpublished = blocks & stored.held(object) & ~stored.residency.resident(object)
        if (unpublished !== 0n) await stored.verify(object, unpublished)
      }
      return await stored.read(offset, target).catch(() => false)
    },
  }
}
