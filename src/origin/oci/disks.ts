/**
 * Disks of a manifest: the layers that are images, their names, and the place of each in its blob.
 *
 * A layer with a title is a file of that name. One without is a file of the repository's last name, unless it is an
 * archive: then it is a containerDisk, whose file lies below `disk/`.
 * Source: ORAS documentation, "OCI artifacts" (org.opencontainers.image.title); OCI image specification 1.1, layer.md.
 */
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Digest } from '../contract/digest.ts'
import { isImageKey } from '../contract/image-name.ts'
import type { Descriptor } from './manifest.ts'
import { isContentDigest } from './oci-url.ts'
import { diskEntryOf, type ReadArchive } from './tar-entry.ts'

/** A run of bytes in a blob. */
export interface BlobPart {
  readonly digest: string
  /** Size of the whole blob. */
  readonly blobBytes: number
  readonly offset: number
}

/** An image in a manifest. */
export interface Disk {
  readonly name: string
  readonly sizeBytes: number
  readonly part: BlobPart
}

/** Names of layers of archives, with the compression behind them. */
const archive =
  /^application\/vnd\.(?:oci\.image\.layer(?:\.nondistributable)?\.v1\.tar|docker\.image\.rootfs\.diff\.tar)(?:[.+](\w+))?$/

/**
 * The disks among the layers of one manifest; a file of an upper layer stands for one of a lower.
 * @param place for messages
 * @param defaultName of a layer that has no title
 * @param readBlob reads a blob of them
 * @throws CacheError origin-unsupported when one of them has a form that is not read; what `readBlob` throws
 */
export async function disksOf(
  layers: readonly Descriptor[],
  place: string,
  defaultName: string,
  readBlob: (layer: Descriptor) => ReadArchive,
): Promise<readonly Disk[]> {
  const disks: Disk[] = []
  let isFound = false
  for (const layer of layers.toReversed()) {
    const title = layer.annotations['org.opencontainers.image.title']
    const [isArchive, compression] = archive.exec(layer.mediaType) ?? []
    if (title !== undefined || isArchive === undefined) {
      const name = title ?? defaultName
      // A directory that was packed, a signature or a statement about an image is none.
      const isFile = layer.annotations['io.deis.oras.content.unpack'] !== 'true'
      const isDisk = title !== undefined ? isFile : !/[+/]json$/.test(layer.mediaType)
      if (isDisk && isImageKey(name)) disks.unshift({ name, sizeBytes: layer.sizeBytes, part: wholeOf(layer) })
      continue
    }
    if (isFound) continue
    if (compression !== undefined) throw compressed(place, compression)
    const disk = await containerDiskOf(layer, place, readBlob(layer))
    if (disk === null) continue
    disks.unshift(disk)
    isFound = true
  }
  return disks
}

/** The validator of a disk: by it alone an image can be read. */
export function validatorOfPart({ digest, blobBytes, offset }: BlobPart, sizeBytes: number): string {
  return offset === 0 && blobBytes === sizeBytes ? digest : `${digest}/${blobBytes}+${offset}`
}

/** @returns null where it is the validator of something else */
export function partOfValidator(validator: string, sizeBytes: number): BlobPart | null {
  const [, digest, blobBytes, offset] = /^([^/]+)(?:\/(\d+)\+(\d+))?$/.exec(validator) ?? []
  if (digest === undefined || !isContentDigest(digest)) return null
  return { digest, blobBytes: Number(blobBytes ?? sizeBytes), offset: Number(offset ?? 0) }
}

/** The digest of an image that is a whole blob; null: it is a part of one. */
export function digestOfPart({ digest, blobBytes, offset }: BlobPart, sizeBytes: number): Digest | null {
  if (offset !== 0 || blobBytes !== sizeBytes) return null
  const [algorithm, hex] = digest.split(':') as [string, string]
  return { algorithm: algorithm === 'sha512' ? 'sha-512' : 'sha-256', hex }
}

function wholeOf({ digest, sizeBytes }: Descriptor): BlobPart {
  return { digest, blobBytes: sizeBytes, offset: 0 }
}

async function containerDiskOf(layer: Descriptor, place: string, read: ReadArchive): Promise<Disk | null> {
  try {
    const entry = await diskEntryOf(layer.sizeBytes, read)
    if (entry === null || !isImageKey(entry.name)) return null
    const { name, sizeBytes, offset } = entry
    return { name, sizeBytes, part: { digest: layer.digest, blobBytes: layer.sizeBytes, offset } }
  } catch (cause) {
    if (cause instanceof CacheError) throw cause
    throw new CacheError('origin-unsupported', `${place}: layer ${layer.digest}: ${messageOf(cause)}`, { cause })
  }
}

function compressed(place: string, compression: string): CacheError {
  const advice = 'a compressed layer has no ranges: push the disk as an artifact, or its layer uncompressed'
  return new CacheError('origin-unsupported', `${place}: its layer is a ${compression} archive; ${advice}`)
}
