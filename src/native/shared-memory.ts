/** Memory that all threads see, and that the disk can be read into and written from without a copy (O_DIRECT). */
import type { Addon } from './addon.ts'

const pageBytes = 4096

/** @returns `bytes` zeros from the begin of a page on; the memory of a SharedArrayBuffer stays where it is */
export function allocateShared(addon: Pick<Addon, 'bytesToPage'>, bytes: number): Uint8Array {
  const all = new Uint8Array(new SharedArrayBuffer(bytes + pageBytes))
  const begin = addon.bytesToPage(all)
  return all.subarray(begin, begin + bytes)
}
