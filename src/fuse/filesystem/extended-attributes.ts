/**
 * `user.parentfs.*`: what the cache knows of an image, readable with getfattr. Directories have none.
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

/** The names that every image has. */
export const extendedAttributeNames: readonly string[] = Object.keys(values)

/** @throws Refusal no-such-attribute */
export function extendedAttribute(name: string, image: Image, residence: () => Residence): Uint8Array {
  const value = Object.hasOwn(values, name) ? values[name] : undefined
  if (!value) throw new FsError('no-such-attribute', `${image.key} has no attribute ${name}`)
  return Buffer.from(value(image, residence))
}
