/**
 * Manifests and indexes of a registry, read and judged. Pure.
 *
 * Source: OCI image specification 1.1, manifest.md, image-index.md, descriptor.md; Docker "Image Manifest Version 2,
 * Schema 2".
 */
import { isContentDigest } from './oci-url.ts'

/** Media types of what may be asked for, as the header Accept has them. */
export const acceptedManifests = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

/** A blob or a manifest, by its digest. */
export interface Descriptor {
  /** In small letters. */
  readonly mediaType: string
  readonly digest: string
  readonly sizeBytes: number
  readonly annotations: Readonly<Record<string, string>>
  /** Of an entry of an index. */
  readonly platform: Platform | null
}

/** A machine as Go names it, like linux and amd64. Null: not said. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant: string | null
}

export type Manifest =
  | { readonly kind: 'index'; readonly manifests: readonly Descriptor[] }
  | { readonly kind: 'manifest'; readonly layers: readonly Descriptor[]; readonly createdMs: number }

/**
 * Parses a manifest or an index.
 * @throws Error saying what is wrong with it
 */
export function manifestOf(text: string): Manifest {
  const value: unknown = JSON.parse(text)
  if (!isObject(value)) throw new Error('it is no object')
  if (value.schemaVersion !== 2) throw new Error('it is not of schema version 2')
  if (Array.isArray(value.manifests)) return { kind: 'index', manifests: value.manifests.map(descriptorOf) }
  if (!Array.isArray(value.layers)) throw new Error('it has neither layers nor manifests')
  const created = Date.parse(annotationsOf(value.annotations)['org.opencontainers.image.created'] ?? '')
  const layers = value.layers.map(descriptorOf)
  return { kind: 'manifest', layers, createdMs: Number.isFinite(created) ? Math.max(0, created) : 0 }
}

function descriptorOf(value: unknown): Descriptor {
  if (!isObject(value)) throw new Error('a descriptor is no object')
  const { mediaType, digest, size, annotations, platform } = value
  if (typeof digest !== 'string' || !isContentDigest(digest)) throw new Error('a descriptor has no digest that we know')
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw new Error('a descriptor has no size')
  return {
    mediaType: typeof mediaType === 'string' ? mediaType.toLowerCase() : '',
    digest,
    sizeBytes: size as number,
    annotations: annotationsOf(annotations),
    platform: platformIn(platform),
  }
}

function annotationsOf(value: unknown): Readonly<Record<string, string>> {
  if (!isObject(value)) return {}
  return Object.fromEntries(
    Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  )
}

function platformIn(value: unknown): Platform | null {
  if (!isObject(value)) return null
  const { os, architecture, variant } = value
  if (typeof os !== 'string' || typeof architecture !== 'string') return null
  return { os, architecture, variant: typeof variant === 'string' && variant !== '' ? variant : null }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
