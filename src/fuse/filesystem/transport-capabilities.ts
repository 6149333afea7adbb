/**
 * What a transport can do: the suites for mounts run what is declared here.
 */
export interface TransportCapabilities {
  /** lseek finds data and holes. */
  readonly seek: boolean
  /** Directory entries come with attributes. */
  readonly attributesInListings: boolean
  /** Longest read that reaches us whole, in bytes. */
  readonly readBytesMax: number
  /** What the store holds is answered without JavaScript. */
  readonly nativeHits: boolean
  /** A reader that is killed ends at once, whatever its read waits for. */
  readonly interrupts: boolean
  /** The kernel can read complete images by itself. */
  readonly passthrough: boolean
  /**
   * The versions of an image that has changed can be open at the same time, each with its own size. Where not, a name stays
   * with the version that is open, until nobody has it open.
   */
  readonly versionsSideBySide: boolean
}
