/**
 * Limits of store/seals/: each with its unit last and the reason or the sum that led to it.
 */

/** The smallest block of a data file: levels of a tree begin at such pages. */
export const treePageBytes = 4096

/**
 * The share of the capacity that trees take: a tree is 1/127 of its image, so those of images of four times the
 * capacity fit. More are fetched again.
 */
export const treesShareMax = 1 / 32

/** Files of trees that are open: a descriptor and a table of a kilobyte each. */
export const openTreesMax = 256

/** A record of a seal in the index, in bytes: salt and image names are its longest parts. */
export const sealRecordBytes = 4096
