/**
 * Limits of origin/s3/: each with its unit last and the reason or the sum that led to it.
 */
import { listingNamesMax, MiB } from '../../base/limits.ts'

/**
 * The time for which a signature is sent again: a third of the 15 minutes for which servers take one, so that our clock
 * may be off by some minutes. Source: Amazon S3 API Reference, "Authenticating Requests"; tried with radosgw 16.2 and
 * Swift 2.30, which take one of 14 minutes and refuse one of 16.
 */
export const signatureMsMax = 300_000

/** Clocks that differ by less sign nothing anew: `Date` has whole seconds, and an answer takes some. */
export const skewMsMin = 60_000

/** Images whose places are remembered with their signatures, a kilobyte each: as many as are read at a time. */
export const placesMax = 1024

/** Names in one page of a listing. Source: Amazon S3 API Reference, ListObjectsV2, max-keys. */
export const s3PageNamesMax = 1000

/** Bytes of one page: a thousand keys of 1,024 bytes, three letters for each byte, and a kilobyte beside each. */
export const s3PageBytesMax = 4 * MiB

/** Pages of one listing: twice those of as many names as are shown, for keys that are no names. */
export const s3ListingPagesMax = 2 * Math.ceil((listingNamesMax + 1) / s3PageNamesMax)

/** The time for which a listing that no caller waited for any more is kept for the next one. */
export const listingKeptMs = 30_000

/** Names of regions. Source: AWS General Reference; the longest is 14. */
export const regionCharsMax = 64

/** Version ids. Source: Amazon S3 User Guide, "How S3 Versioning works": at most 1,024 bytes. */
export const versionIdCharsMax = 1024
