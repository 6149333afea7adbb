/**
 * Interface of the serving port to the cache; declared here, where it is consumed.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { BlockRun, Image } from '../../base/image.ts'
import type { StoreFile } from '../../native/addon.ts'

export interface SourceOptions {
  readonly signal: CancelSignal
  /** See {@link openerOfHops}. */
  readonly opener?: number | undefined
  /** Takes the release of the bytes of a read, to be called once they are not looked at any more. */
  readonly lend?: ((release: () => void) => void) | undefined
}

export interface SourceEntry {
  readonly name: string
  readonly isDirectory: boolean
  readonly image: Image | null
}

/** The version of a name, as the origin has said. */
export interface KnownVersion {
  readonly image: Image
  /** Milliseconds since then; null: it was in an earlier run. */
  readonly ageMs: number | null
  readonly isFresh: boolean
}

/** See src/cache/served-images.ts for the errors of each. */
export interface ImageSource {
  readonly blockBytes: number
  /** May missing blocks be brought for other hosts? */
  readonly mayBring: boolean
  byId(imageId: string): Image | null
  byKey(origin: string, key: string, options: SourceOptions): Promise<Image | null>
  versionOf(origin: string, key: string, options: SourceOptions): Promise<KnownVersion | null>
  byName(name: string, options: SourceOptions): Promise<Image>
  list(path: string, options: SourceOptions): Promise<Iterable<SourceEntry> | null>
  /** The URL to which another host is sent, if it `reaches` that; null: the image is served here. */
  redirectionOf(image: Image, reaches: (url: string) => boolean): string | null
  /**
   * The data file with a range that is held, for reads of native threads; its foreign objects are used now. Null where
   * it is not held.
   */
  fileOf(image: Image, offset: number, length: number): StoreFile | null
  /** Is the object one that only other hosts read? */
  isForeign(image: Image, object: number): boolean
  residence(image: Image): { readonly residentBytes: number; readonly complete: boolean }
  isHeld(image: Image, offset: number, length: number): boolean
  /** Is that the member that this host is? */
  isOwn(memberId: string): boolean
  /** Does that member rank before this host for the unit of an offset, so that this host would ask it? */
  ranksBefore(memberId: string, image: Image, offset: number): boolean
  unitsFor(memberId: string, image: Image): Uint8Array | null
  isComing(image: Image, offset: number, length: number): boolean
  waitsForMember(image: Image, offset: number, length: number): boolean
  read(image: Image, offset: number, length: number, options: SourceOptions): Promise<Uint8Array>
  sums(image: Image, object: number): readonly (number | null)[]
  heldRuns(image: Image, object: number): readonly BlockRun[]
  verifiedDigest(image: Image): { readonly algorithm: string; readonly hex: string } | null
  profileOf(name: string, validator: string): Promise<string | null>
}
