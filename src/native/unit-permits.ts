/**
 * Unit permits: the stretches of an image that session threads may read at its origin by themselves, a bit each. See
 * native-bindings/image/unit-permits.h.
 */
import type { OriginReader } from './origin-reader.ts'

/** The permits of one image; none at the beginning. */
export interface UnitPermits {
  /** These alone from now on: unit k is bit k % 8 of byte k / 8, the lowest bit first. Units beyond have none. */
  replace(bits: Uint8Array): void
  permit(unit: number): void
  /** The same reader, for ranges whose units are all permitted at their begin. */
  guard(reader: OriginReader): OriginReader
}

export interface UnitPermitTables {
  /** @param unitBytes whole blocks; `units`: those of the image */
  createUnitPermits(unitBytes: number, units: number): UnitPermits
}
