/** Limits of the modes. */

/** Images with a mode of their own: as many as may be pinned; more are better said for their origin. */
export const imageModesMax = 4096
