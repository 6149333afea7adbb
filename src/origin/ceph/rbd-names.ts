/**
 * File names of an RBD pool, and the snapshot or image of each. Pure.
 *
 * `image@snapshot` is a snapshot; `image` is its protected snapshot where there is just one, and otherwise the image as
 * it is now, if that is wanted at all.
 */
import type { CephImageDescription, CephSnapshot } from '../../native/ceph-types.ts'
import { isImageName } from '../contract/image-name.ts'

/** The version of a name: a snapshot, or the image as it is now. */
export interface RbdVersion {
  readonly imageId: string
  /** 0: as it is now. */
  readonly snapshot: bigint
}

/** The image and the snapshot of a name; null where it names none. No name in RBD has an `@`. */
export function partsOfName(key: string): { readonly image: string; readonly snapshot: string | null } {
  const at = key.indexOf('@')
  return at < 0 ? { image: key, snapshot: null } : { image: key.slice(0, at), snapshot: key.slice(at + 1) }
}

/** The snapshot that the image's name alone stands for, if any. */
export function parentOf({ snapshots }: Pick<CephImageDescription, 'snapshots'>): CephSnapshot | null {
  const [only, ...more] = snapshots.filter(({ isProtected }) => isProtected)
  return only !== undefined && more.length === 0 ? only : null
}

/** All names of an image. */
export function namesOf(image: string, description: CephImageDescription, allowMutable: boolean): string[] {
  const names = description.snapshots.map(({ name }) => `${image}@${name}`)
  if (parentOf(description) !== null || allowMutable) names.push(image)
  return names.filter(isImageName)
}

/** A version in one word. */
export function rbdValidatorOf({ imageId, snapshot }: RbdVersion, modifiedMs: number): string {
  return snapshot === 0n ? `${imageId}@now-${modifiedMs}` : `${imageId}@${snapshot}`
}

/** The version that a word stands for. */
export function versionOf(validator: string): RbdVersion {
  const [imageId = '', snapshot = ''] = validator.split('@')
  return { imageId, snapshot: snapshot.startsWith('now') ? 0n : BigInt(snapshot) }
}
