/**
 * Images that leave: versions that have no name any more (retirer.ts), and those beyond the limit that nobody uses (forgetter.ts).
 */
import type { Image } from '../image.ts'
import type { Logger } from '../logger.ts'
import type { Store } from '../store/store.ts'
import type { Catalog } from './catalog.ts'
import type { Digester } from './digester.ts'
import { Forgetter, type ForgetterLimits } from './forgetter.ts'
import type { MountedOrigins } from './mounted-origins.ts'
import type { Pins } from './pins.ts'
import { type Acquaintance, Retirer, type RetirerLimits } from './retirer.ts'

export interface LeavingParts {
  readonly catalog: Catalog
  readonly store: Store
  readonly origins: MountedOrigins
  readonly pins: Pick<Pins, 'keeps'>
  readonly digester: Digester
  /** Is it open, or being read? */
  isInUse(imageId: string): boolean
  readonly acquaintance: Acquaintance
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export interface LeavingLimits {
  readonly retire?: Partial<RetirerLimits>
  readonly knownImages?: Partial<ForgetterLimits>
}

export class Leaving {
  readonly retirer: Retirer
  readonly forgetter: Forgetter

  constructor(parts: LeavingParts, { retire, knownImages }: LeavingLimits) {
    const { origins, pins, digester, isInUse } = parts
    const shared = {
      ...parts,
      directoryOf: (image: Image) => origins.directoryOf(image),
      freshMs: ({ origin }: Image) => origins.freshMs({ url: origin }),
      forget: (imageId: string) => digester.forget(imageId),
    }
    this.retirer = new Retirer(shared, retire)
    // Of one that is quarantined the index knows why: that must not go with it.
    const isWanted = (image: Image) => isInUse(image.id) || pins.keeps(image) || !digester.isSound(image)
    this.forgetter = new Forgetter({ ...shared, isWanted }, knownImages)
  }

  /** Go on in the background until {@link close}. */
  start(): void {
    this.retirer.start()
    void this.forgetter.start() // Never rejects.
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.retirer.close()
    await this.forgetter.close()
  }
}
