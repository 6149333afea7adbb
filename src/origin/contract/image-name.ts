/**
 * Image names: the names of an origin that can be files of the mount. Pure.
 */
import { nameBytesMax } from '../../base/limits.ts'
import { keyBytesMax } from './limits.ts'

/** The end of the name of a published profile, behind the name of the image. */
export const profileSuffix = '.parentfs-profile'

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

/** Characters that no file name has, or that stand for such; `%` is one only where it would be taken for another. */
const escaped = /%(?=2F|2E|25|00)|\0/g

/**
 * The path that shows the object `key` of a hierarchical origin; null where there is none. A component that no file can
 * be called has its slash, dots or NUL written as `%2F`, `%2E`, `%00`: `a//b` is `a/%2Fb`. A key that ends in a slash
 * is the marker of a directory, and has no path.
 */
export function pathOfKey(key: string): string | null {
  if (key === '' || key.endsWith('/')) return null
  const components: string[] = []
  let slashes = ''
  for (const component of key.split('/')) {
    if (component === '') slashes += '%2F'
    else {
      const plain = component.replace(escaped, character => (character === '%' ? '%25' : '%00'))
      const isDots = slashes === '' && (plain === '.' || plain === '..')
      components.push(slashes + (isDots ? plain.replaceAll('.', '%2E') : plain))
      slashes = ''
    }
  }
  const path = components.join('/')
  return isImageKey(path) ? path : null
}

/** The key of the object that a path shows: the other way round. */
export function keyOfPath(path: string): string {
  return path.replace(/%(2F|2E|25|00)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
