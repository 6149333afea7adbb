/**
 * Image names: the names of an origin that can be files of the mount. Pure.
 */
import { nameBytesMax } from '../../base/limits.ts'
import { keyBytesMax } from './limits.ts'

/**
 * Can `name` be the name of a file: not empty, not `.` or `..`, without `/` and NUL, 255 bytes of UTF-8 at most?
 * Half a surrogate pair has no UTF-8, so it is no name either.
 */
export function isImageName(name: string): boolean {
  if (name === '' || name === '.' || name === '..') return false
  if (name.includes('/') || name.includes('\0') || /\p{Surrogate}/u.test(name)) return false
  return Buffer.byteLength(name) <= nameBytesMax
}

/** Can `key` be the path of a file below the root of an origin: image names with slashes between them? */
export function isImageKey(key: string): boolean {
  return Buffer.byteLength(key) <= keyBytesMax && key.split('/').every(isImageName)
}
