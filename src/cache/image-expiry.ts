/**
 * Expiry of images: superseded versions (version-gc.ts), and unused images over the limit (forget-unused.ts).
 */
import type { Image } from '../base/image.ts'
import type { Logger } from '../base/logger.ts'
import type { Store } from '../store/store.ts'
import type { Pins } from './evict/pins.ts'
import type { OriginTable } from './fetch/origin-table.ts'
import type { DigestVerifier } from './integrity/digest-verifier.ts'
import type { Catalog } from './names/catalog.ts'
import { UnusedImageForgetter, type UnusedImageForgetterLimits } from './names/forget-unused.ts'
import { type KernelKnowledge, VersionCollector, type VersionCollectorLimits } from './names/version-gc.ts'

export interface ImageExpiryContext {
  readonly catalog: Catalog
  readonly store: Store
  readonly origins: OriginTable
  readonly pins: Pick<Pins, 'keeps'>
  readonly digester: DigestVerifier
  /** Is it open, or being read? */
  isInUse(imageId: string): boolean
  readonly acquaintance: KernelKnowledge
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export interface ImageExpiryLimits {
  readonly retire?: Partial<VersionCollectorLimits>
  readonly knownImages?: Partial<UnusedImageForgetterLimits>
}

export class ImageExpiry {
  readonly collector: VersionCollector
  readonly forgetter: UnusedImageForgetter

  constructor(parts: ImageExpiryContext, { retire, knownImages }: ImageExpiryLimits) {
    const { origins, pins, digester, isInUse } = parts
    const shared = {
      ...parts,
      directoryOf: (image: Image) => origins.directoryOf(image),
      freshMs: ({ origin }: Image) => origins.freshMs({ url: origin }),
      forget: (imageId: string) => digester.forget(imageId),
    }
    this.collector = new VersionCollector(shared, retire)
    // Of one that is quarantined the index knows why: that must not go with it.
    const isWanted = (image: Image) => isInUse(image.id) || pins.keeps(image) || !digester.isSound(image)
    this.forgetter = new UnusedImageForgetter({ ...shared, isWanted }, knownImages)
  }

  /** Go on in the background until {@link close}. */
  start(): void {
    this.collector.start()
    void this.forgetter.start() // Never rejects.
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.collector.close()
    await this.forgetter.close()
  }
}
