/**
 * Unpacked layers: a gzip'd blob from the front on, its digest compared at the end.
 *
 * zlib works on Node's own threads. Bytes are asked for as they are taken: little is ever in memory.
 */
import { createHash } from 'node:crypto'
import { createGunzip } from 'node:zlib'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { TakeBytes } from '../contract/origin.ts'
import type { BlobPart } from './disks.ts'
import { archiveHeadBytesMax, unpackedChunkBytes } from './limits.ts'

/** Gives all bytes of a blob to `take`. */
export type ReadBlob = (take: TakeBytes) => Promise<void>

/** Ends a stream of which enough has been seen. */
const enough = new Error('enough of the layer has been read')

/**
 * The first unpacked bytes of a layer: all of them, or {@link archiveHeadBytesMax}.
 * @throws Error when it cannot be unpacked; what `read` throws
 */
export async function headOfLayer(read: ReadBlob): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    await unpack(read, chunk => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= archiveHeadBytesMax) throw enough
    })
  } catch (error) {
    if (error !== enough) throw error
  }
  return Buffer.concat(chunks)
}

/**
 * Give the bytes of a disk in a compressed layer to `take`.
 * @param place for messages
 * @throws CacheError image-corrupt when the blob is not the one that its digest names, origin-protocol when it ends
 * early; what `read` and `take` throw
 */
export async function streamDisk(
  read: ReadBlob,
  { digest, offset }: BlobPart,
  sizeBytes: number,
  take: TakeBytes,
  place: string,
): Promise<void> {
  let at = 0
  await verified(read, digest, place, async checked => {
    await unpack(checked, async chunk => {
      const part = chunk.subarray(Math.max(0, offset - at), Math.max(0, offset + sizeBytes - at))
      at += chunk.length
      if (part.length > 0) await take(part)
    }).catch(error => {
      if (!isBroken(error)) throw error
      throw new CacheError('image-corrupt', `${place}: layer ${digest} cannot be unpacked: ${messageOf(error)}`)
    })
  })
  if (at >= offset + sizeBytes) return
  throw new CacheError('origin-protocol', `${place}: layer ${digest} ends within its disk`)
}

/**
 * Give a blob to `consume`, and compare it with its digest when that has taken it.
 * @throws CacheError image-corrupt, and what `read` and `consume` throw
 */
export async function verified(
  read: ReadBlob,
  digest: string,
  place: string,
  consume: (read: ReadBlob) => Promise<void>,
): Promise<void> {
  const [algorithm, hex] = digest.split(':') as [string, string]
  const hash = createHash(algorithm)
  await consume(take =>
    read(chunk => {
      hash.update(chunk)
      return take(chunk)
    }),
  )
  if (hash.digest('hex') === hex) return
  throw new CacheError('image-corrupt', `${place}: the registry sent another blob than ${digest}`)
}

/** An error of zlib's. */
function isBroken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(Z_|ERR_BUFFER|ERR_ZLIB)/.test(String(error.code))
}

async function unpack(read: ReadBlob, take: TakeBytes): Promise<void> {
  const gunzip = createGunzip({ chunkSize: unpackedChunkBytes })
  let failure: { readonly error: unknown } | null = null
  /** Of the write under way, which an end of the stream leaves as it is. */
  let rejectWrite: (error: unknown) => void = () => {}
  const fail = (error: unknown) => {
    failure ??= { error }
    gunzip.destroy()
    rejectWrite(error)
  }
  const taken = (async () => {
    for await (const chunk of gunzip) await take(chunk as Uint8Array)
  })().catch(fail)
  const write = (chunk: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      if (failure) return reject(failure.error)
      rejectWrite = reject
      // The callback comes when the bytes are not needed any more.
      gunzip.write(chunk, error => (error ? reject(error) : resolve()))
    })
  try {
    await read(write)
    gunzip.end()
  } catch (error) {
    fail(error)
  }
  await taken
  if (failure !== null) throw (failure as { readonly error: unknown }).error
}
