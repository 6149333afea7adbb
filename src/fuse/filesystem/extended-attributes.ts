/**
 * `user.parentfs.*`: what the cache knows of an image, readable with getfattr; `user.parentfs.property.*`: what its
 * origin says of it. Directories have none.
 */
import type { Image } from '../../base/image.ts'
import type { Residence } from './backend.ts'
import { FsError } from './fs-error.ts'

type Value = (image: Image, residence: () => Residence) => string

/** Each attribute with its text. Numbers are decimal. */
const values: Readonly<Record<string, Value>> = {
  'user.parentfs.origin': image => image.origin,
  'user.parentfs.validator': image => image.validator,
  'user.parentfs.resident_bytes': (_image, residence) => String(residence().residentBytes),
  'user.parentfs.complete': (_image, residence) => String(residence().complete),
  'user.parentfs.mode': (_image, residence) => residence().mode,
}

/** In front of the name of a property. */
const propertyPrefix = 'user.parentfs.property.'

/** Bytes of all names together: half of XATTR_LIST_MAX. Source: Linux include/uapi/linux/limits.h. */
const nameBytesMax = 32 * 1024

/** The words of an origin about an image, by name; null: it has none. */
export type Properties = Readonly<Record<string, string>> | null

/** The names that an image has. */
export function extendedAttributeNames(properties: Properties): readonly string[] {
  const names = Object.keys(values)
  let bytes = 0
  for (const name of Object.keys(properties ?? {})) {
    bytes += propertyPrefix.length + name.length + 1
    if (bytes > nameBytesMax) break
    names.push(propertyPrefix + name)
  }
  return names
}

/** @throws Refusal no-such-attribute */
export function extendedAttribute(
  name: string,
  image: Image,
  residence: () => Residence,
  properties: () => Properties,
): Uint8Array {
  if (Object.hasOwn(values, name)) return Buffer.from(values[name]!(image, residence))
  const property = name.startsWith(propertyPrefix) ? name.slice(propertyPrefix.length) : null
  const known = property === null ? null : properties()
  if (known && Object.hasOwn(known, property!)) return Buffer.from(known[property!]!)
  throw new FsError('no-such-attribute', `${image.key} has no attribute ${name}`)
}
