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
import { diskEntryOf, type ReadArchive, type TarEntry } from './tar-entry.ts'

/** Compression of a layer. */
export type LayerPacking = 'gzip' | 'zstd'

/** A run of bytes in a blob. */
export interface BlobPart {
  readonly digest: string
  /** Size of the whole blob. */
  readonly blobBytes: number
  /** Within the blob; of a compressed one, within what it unpacks to. */
  readonly offset: number
  /** null: none. */
  readonly packing: LayerPacking | null
}

/** Reads the blobs of a registry. */
export interface LayerReader {
  /** Reads ranges of it. */
  ranges(layer: Descriptor): ReadArchive
  /** The first bytes that it unpacks to. */
  head(layer: Descriptor, packing: LayerPacking): Promise<Uint8Array>
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
 * @throws CacheError origin-unsupported when one of them has a form that is not read; what `reader` throws
 */
export async function disksOf(
  layers: readonly Descriptor[],
  place: string,
  defaultName: string,
  reader: LayerReader,
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
    const disk = await containerDiskOf(layer, compression ?? null, place, reader)
    if (disk === null) continue
    disks.unshift(disk)
    isFound = true
  }
  return disks
}

/** Between the size of a blob and the place in it, in validators. */
const signs = { none: '+', gzip: '~', zstd: '^' } as const

/** The validator of a disk: by it alone an image can be read. */
export function validatorOfPart(part: BlobPart, sizeBytes: number): string {
  const { digest, blobBytes, offset, packing } = part
  return isWhole(part, sizeBytes) ? digest : `${digest}/${blobBytes}${signs[packing ?? 'none']}${offset}`
}

/** Is the image all of a blob, as it is? */
export function isWhole({ blobBytes, offset, packing }: BlobPart, sizeBytes: number): boolean {
  return offset === 0 && blobBytes === sizeBytes && packing === null
}

/** @returns null where it is the validator of something else */
export function partOfValidator(validator: string, sizeBytes: number): BlobPart | null {
  const [, digest, blobBytes, how, offset] = /^([^/]+)(?:\/(\d+)([+~^])(\d+))?$/.exec(validator) ?? []
  if (digest === undefined || !isContentDigest(digest)) return null
  const packing = how === signs.gzip ? 'gzip' : how === signs.zstd ? 'zstd' : null
  return { digest, blobBytes: Number(blobBytes ?? sizeBytes), offset: Number(offset ?? 0), packing }
}

/** The digest of an image that is a whole blob; null: it is a part of one. */
export function digestOfPart(part: BlobPart, sizeBytes: number): Digest | null {
  if (!isWhole(part, sizeBytes)) return null
  const [algorithm, hex] = part.digest.split(':') as [string, string]
  return { algorithm: algorithm === 'sha512' ? 'sha-512' : 'sha-256', hex }
}

function wholeOf({ digest, sizeBytes }: Descriptor): BlobPart {
  return { digest, blobBytes: sizeBytes, offset: 0, packing: null }
}

async function containerDiskOf(
  layer: Descriptor,
  compression: string | null,
  place: string,
  reader: LayerReader,
): Promise<Disk | null> {
  const refuse = (why: string, cause?: unknown) =>
    new CacheError('origin-unsupported', `${place}: layer ${layer.digest}: ${why}`, { cause })
  const packing: LayerPacking | null = compression === 'gzip' || compression === 'zstd' ? compression : null
  if (packing !== compression) throw refuse(`it is packed by ${compression}, which is not read`)
  try {
    const entry =
      packing === null
        ? await diskEntryOf(layer.sizeBytes, reader.ranges(layer))
        : await entryInHead(await reader.head(layer, packing))
    if (entry === null || !isImageKey(entry.name)) return null
    const { name, sizeBytes, offset } = entry
    const part = { digest: layer.digest, blobBytes: layer.sizeBytes, offset, packing }
    return { name, sizeBytes, part }
  } catch (cause) {
    throw cause instanceof CacheError ? cause : refuse(messageOf(cause), cause)
  }
}

/** Of an archive of unknown length, of which these are the first bytes: behind them there may be anything. */
function entryInHead(head: Uint8Array): Promise<TarEntry | null> {
  return diskEntryOf(Number.MAX_SAFE_INTEGER, async (offset, target) => {
    target.fill(0)
    target.set(head.subarray(offset, offset + target.length))
  })
}
