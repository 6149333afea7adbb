/**
 * Limits of origin/swift/: each with its unit last and the reason or the sum that led to it.
 */
import { listingNamesMax, MiB } from '../../base/limits.ts'

/**
 * Names asked for at once: 600 KiB, which are parsed in some milliseconds. Servers may give fewer.
 * Source: Swift, etc/swift.conf-sample, container_listing_limit (10,000); tried with radosgw 16.2.
 */
export const pageNamesMax = 2_000

/** Bytes of one page: names have 1,024 bytes at most, and each of these may be six in JSON. */
export const pageBytesMax = 16 * MiB

/** Pages of one listing, twice of what all names fill: a server that goes on without an end is left. */
export const listingPagesMax = (2 * listingNamesMax) / pageNamesMax

/** Bytes of the manifest of a static large object. Source: Swift, max_manifest_size: 8 MiB. */
export const staticManifestBytesMax = 16 * MiB

/** Manifests within manifests. Source: Swift, the SLO middleware follows ten. */
export const manifestDepthMax = 10

/** Segments of one image, whose list takes 300 bytes for each. */
export const segmentsMax = 100_000

/** Segments of all images whose lists are kept, 300 bytes each. An image that left is asked about again. */
export const segmentsKeptMax = 200_000

/** Segments that one read asks for at once: a quarter of the usual connections, and most reads touch one or two. */
export const partsAtOnceMax = 16
