/**
 * Capabilities of a transport: the suites for mounts run those that are declared here.
 */
export interface TransportCapabilities {
  /** lseek finds data and holes. */
  readonly seek: boolean
  /** Directory entries come with attributes. */
  readonly attributesInListings: boolean
  /** Longest read that reaches us whole, in bytes. */
  readonly readBytesMax: number
  /** Stored blocks are answered without JavaScript. */
  readonly nativeHits: boolean
  /** A reader that is killed ends at once, whatever its read waits for. */
  readonly interrupts: boolean
  /** The kernel can read complete images by itself. */
  readonly passthrough: boolean
  /**
   * The versions of a changed image can be open at the same time, each with its own size. Where not, a name stays with
   * the version that is open, until its last close.
   */
  readonly versionsSideBySide: boolean
}
