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

/** Images whose place in a store is known: an Image and a reference each. */
export const storedImagesMax = 10_000

/** Stores behind one image service. */
export const imageStoresMax = 16

/** Images whose properties are known, weighed by their characters: 4 MiB. */
export const propertyCharsMax = 2 * MiB

/** Longest text of a property that is shown; Glance takes 64 KiB. */
export const propertyTextCharsMax = 4096

/** Properties of one image that are shown. Source: Glance, image_property_quota: 128 by default. */
export const propertiesMax = 128

/** Tries to remove a location, where others change the list at the same time. */
export const registerTriesMax = 3

/** Letters of a refusal that are shown. */
export const refusalCharsMax = 300
