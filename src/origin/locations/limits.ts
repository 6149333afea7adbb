/**
 * Limits of origin/locations/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'

/** Images whose locations are remembered, 300 bytes each. */
export const locatedImagesMax = 4096

/** Bytes of one sample, and samples before a location is used: the first, the last and some between. */
export const sampleBytes = 64 * KiB

export const locationSamplesMin = 4

/** Reads of a location of which one is compared with the origin afterwards. */
export const auditReads = 64

/** Answers of which the place is remembered, of an image: those of all reads at once; and images of which they are. */
export const rememberedAnswersMax = 256
export const answeredImagesMax = 64

/** Reads of a measurement, of which the soonest counts: the first may open a connection, and any meet a busy moment. */
export const measurementReads = 3

/** The interval at which a location that is not read is measured again. */
export const remeasureMs = 15_000

/** The interval at which the image service is asked for the locations of an image that is read. */
export const toldRefreshMs = 60_000

/** Directories of web servers that told locations are read at, some connections each. */
export const toldHostsMax = 64

/** Locations of one image that are looked at; Glance has 10 by default (image_location_quota). */
export const toldPlacesMax = 32

/** The pause after a failure of a location; it doubles with each further one. */
export const backoffMsMin = 1_000

export const backoffMsMax = 60_000

/** The pause before a location that could not be compared with the origin is tried again. */
export const compareRetryMs = 10_000

/** The time of a try: so many times what is expected, within these bounds; the last try has all that is left. */
export const tryFactor = 8

export const tryMsMin = 250

export const tryMsMax = 5_000

/** The share of the new figure in the latency and rate of a location. */
export const figureWeight = 0.2

/** A location has to be so much sooner than the one that is read, so that two alike do not alternate. */
export const locationSoonerFactor = 0.8

/** Bytes that places are compared by at once, places compared with one reading, and differences that are named. */
export const comparedBytes = 1 * MiB

export const comparedAtOnceMax = 8

export const differencesMax = 16

/** The time that operators wait for comparisons and measurements. */
export const lookMsMax = 5_000
