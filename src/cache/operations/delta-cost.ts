/**
 * Delta cost: the bytes that the version of a name now would cost, beside the older one that the cache holds. Both
 * hash trees say so; the origin is asked for the version and for what differs in its tree.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import { identify } from '../../base/image.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { OriginSeals } from '../../origin/sealed/origin-seals.ts'
import type { DeltaCost } from '../../origin/sealed/version-delta.ts'
import { noImage } from './named-images.ts'

export interface DeltaReport extends DeltaCost {
  readonly name: string
  readonly validator: string
  readonly sizeBytes: number
  /** The validator of the older version that is held; null: nothing is compared, for that reason. */
  readonly olderValidator: string | null
  readonly reason: string | null
}

export interface DeltaSubject {
  readonly name: string
  readonly origin: Origin
  /** Its key there. */
  readonly own: string
  /** Null: its images are not proven. */
  readonly seals: Pick<OriginSeals, 'compare' | 'sealOf'> | null
}

/** @throws CacheError not-found, image-unproven, image-corrupt, aborted, origin-* */
export async function deltaOf(
  { name, origin, own, seals }: DeltaSubject,
  options: { readonly signal: CancelSignal },
): Promise<DeltaReport> {
  const found = origin.lookup(own, options).catch(error => {
    throw isCacheError(error, 'not-found') ? noImage(name) : error
  })
  const { isSequential: _, ...facts } = await found
  const image = identify(facts)
  const { sizeBytes, validator } = image
  const common = { name, validator, sizeBytes }
  const compared = (await seals?.compare(image, options)) ?? null
  if (compared) return { ...common, ...compared.cost, olderValidator: compared.older.validator, reason: null }
  const known = seals?.sealOf(image)
  const reason = known
    ? (known.deltaComplaint ?? known.reason ?? 'the cache holds no other version of it')
    : 'images of its origin are not proven: set origin.verify'
  return { ...common, sameBytes: 0, movedBytes: 0, changedBytes: sizeBytes, olderValidator: null, reason }
}
