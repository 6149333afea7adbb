/**
 * Limits of origin/glance/: each with its unit last and the reason or the sum that led to it.
 */
import { MiB } from '../../base/limits.ts'

/** Images asked for in one page. Source: Glance, api_limit_max: 1000 by default. */
export const pageImagesMax = 500

/** Bytes of one page: an image with many properties has some kilobytes. */
export const imagePageBytesMax = 32 * MiB

/** Pages of a listing: more images than a mount shows. */
export const imagePagesMax = 10_000

/** Images whose kind of answer to ranges is known: two words each. */
export const rangeAnswersMax = 10_000
