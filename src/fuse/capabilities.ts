/**
 * What a transport can do: the suite for mounts runs what is declared here.
 */
export interface TransportCapabilities {
  /** lseek finds data and holes. */
  readonly seek: boolean
  /** Directory entries come with attributes. */
  readonly attributesInListings: boolean
  /** Longest read that reaches us whole, in bytes. */
  readonly readBytesMax: number
}
