/**
 * An open image as native threads can ask it by themselves: made by one addon and given to another, opaque in between.
 * See native-bindings/image/origin-reader.h.
 */

declare const opaque: unique symbol

export interface OriginReader {
  readonly [opaque]: never
}

/**
 * Grant: what native threads may take of one origin, with all its readers together. Without one they take nothing
 * until {@link OriginGrant.limit}. See native-bindings/image/grant.h.
 */
export interface OriginGrant {
  /** So many reads at once from now on. @returns reads that are under way, or may just be beginning */
  limit(readsMax: number): number
  /** Fill the rations of reads and bytes up to so much. @returns what was added; 0 where there is no ration */
  refill(reads: number, bytes: number): { readonly reads: number; readonly bytes: number }
  /** The same reader, within the grant. */
  reader(reader: OriginReader): OriginReader
}
