/** Place of an object in the sample: 32 well-mixed bits, those of native-bindings/session/use-samples.h. */

/** Everything is sampled below it: as much as the native side takes. */
export const sampleAll = 2 ** 32 - 1

/** @param file the number of its data file. Source: Austin Appleby, MurmurHash3, fmix32 (public domain) */
export function sampleHash(file: number, object: number): number {
  let hash = object ^ Math.imul(file, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
