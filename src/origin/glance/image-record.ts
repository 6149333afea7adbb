/**
 * Records of images, as the image service answers them. Pure.
 *
 * Source: OpenStack Image Service API v2, "Show image", "List images".
 */
import { CacheError } from '../../base/errors.ts'
import { type Digest, digestAlgorithms, hexLength } from '../contract/digest.ts'
import { propertiesMax, propertyTextCharsMax } from './limits.ts'

/** An image with data. */
export interface ImageRecord {
  readonly id: string
  /** Empty where it has none. Several images may share one. */
  readonly name: string
  readonly sizeBytes: number
  readonly createdMs: number
  /** Of all its bytes; null: one that no verifier knows. */
  readonly digest: Digest | null
  /** The version: an id never has other bytes, and a digest tells them. */
  readonly validator: string
  /** Locations of its bytes, as far as the service says them. Some have credentials in them. */
  readonly locations: readonly string[]
  /** Visibility, formats, and what people have written of it, by name. */
  readonly properties: Readonly<Record<string, string>>
}

/** A page of a listing. */
export interface ImagePage {
  readonly images: readonly ImageRecord[]
  /** Path and query of the next one; null: it was the last. */
  readonly next: string | null
}

/** Fields that are no properties: shown otherwise, or with credentials in them. */
const otherFields = new Set(
  'id name status size created_at updated_at checksum os_hash_algo os_hash_value self file schema direct_url locations'.split(
    ' ',
  ),
)

const imageId = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Is it the id of an image? */
export function isImageId(text: string): boolean {
  return imageId.test(text)
}

/** The id in the validator of an image. */
export function idOfValidator(validator: string): string {
  return validator.slice(0, validator.indexOf(' '))
}

/**
 * @param place for messages
 * @throws CacheError origin-protocol
 */
export function pageOf(text: string, place: string): ImagePage {
  const { images, next } = fieldsOf(text, place)
  if (!Array.isArray(images)) throw notOurs(place, 'a list of images')
  return { images: images.flatMap(image => recordIn(image) ?? []), next: typeof next === 'string' ? next : null }
}

/**
 * The record of one image; null: it has no data, or none any more.
 * @throws CacheError origin-protocol
 */
export function recordOf(text: string, place: string): ImageRecord | null {
  const fields = fieldsOf(text, place)
  if (typeof fields.id !== 'string') throw notOurs(place, 'an image')
  return recordIn(fields)
}

/** The locations in the record of an image; null: the service hides them. */
export function locationsOf(text: string): readonly string[] | null {
  const { locations } = fieldsOf(text, 'the image service')
  return Array.isArray(locations) ? locations.map(location => String((location as Fields | null)?.url)) : null
}

type Fields = Readonly<Record<string, unknown>>

function fieldsOf(text: string, place: string): Fields {
  try {
    const parsed = JSON.parse(text) as unknown
    if (typeof parsed === 'object' && parsed !== null) return parsed as Fields
  } catch {
    // Told below.
  }
  throw notOurs(place, 'an answer of an image service')
}

function recordIn(image: unknown): ImageRecord | null {
  const fields = (image ?? {}) as Fields
  const { id, name, status, size, created_at: created, ...hashes } = fields
  if (typeof id !== 'string' || !isImageId(id) || status !== 'active') return null
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return null
  const algorithm = digestAlgorithms.find(known => known.replace('-', '') === hashes.os_hash_algo)
  const hex = typeof hashes.os_hash_value === 'string' ? hashes.os_hash_value.toLowerCase() : ''
  const isKnown = algorithm !== undefined && hex.length === hexLength[algorithm] && /^[0-9a-f]+$/.test(hex)
  const checksum = typeof hashes.checksum === 'string' && /^[0-9a-f]{32}$/.test(hashes.checksum) ? hashes.checksum : ''
  return {
    id,
    name: typeof name === 'string' ? name : '',
    sizeBytes: size,
    createdMs: Math.max(0, Date.parse(String(created)) || 0),
    digest: isKnown ? { algorithm, hex } : null,
    validator: `${id} ${isKnown ? `${algorithm}:${hex}` : `md5:${checksum}`}`,
    locations: locationsIn(fields),
    properties: propertiesIn(fields),
  }
}

/** The direct URL is the first location, where both are shown. */
function locationsIn({ direct_url: direct, locations }: Fields): string[] {
  const all = [direct, ...(Array.isArray(locations) ? locations.map(location => (location as Fields | null)?.url) : [])]
  return [...new Set(all.filter(url => typeof url === 'string' && url !== ''))] as string[]
}

function propertiesIn(fields: Fields): Record<string, string> {
  const shown = Object.entries(fields).flatMap(([name, value]): [string, string][] => {
    if (otherFields.has(name) || !/^[\w.:-]{1,200}$/.test(name)) return []
    const text = Array.isArray(value) ? value.join(',') : value
    if (typeof text !== 'string' && typeof text !== 'number' && typeof text !== 'boolean') return []
    return [[name, String(text).slice(0, propertyTextCharsMax)]]
  })
  return Object.fromEntries(shown.slice(0, propertiesMax))
}

function notOurs(place: string, what: string): CacheError {
  return new CacheError('origin-protocol', `${place}: the answer is not ${what}`)
}
