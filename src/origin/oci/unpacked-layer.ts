/**
 * Unpacked layers: a blob in gzip or Zstandard from the front on, its digest compared at the end.
 *
 * Both are unpacked on Node's own threads. Bytes are asked for as they are taken: little is ever in memory.
 */
import { createHash } from 'node:crypto'
import { createGunzip } from 'node:zlib'
import { CacheError, isCacheError, messageOf } from '../../base/errors.ts'
import type { StreamDecoders } from '../../native/stream-decoder.ts'
import type { TakeBytes } from '../contract/origin.ts'
import { decode } from '../views/packed-stream.ts'
import type { BlobPart, LayerPacking } from './disks.ts'
import { archiveHeadBytesMax, unpackedChunkBytes } from './limits.ts'

/** A part of what a layer unpacks to. */
export type CompressedPart = BlobPart & { readonly packing: LayerPacking }

/** Gives all bytes of a blob to `take`. */
export type ReadBlob = (take: TakeBytes) => Promise<void>

export interface UnpackOptions {
  /** For messages. */
  readonly place: string
  /** null: Zstandard is refused. */
  readonly decoders: StreamDecoders | null
}

/** Ends a stream of which enough has been seen. */
const enough = new Error('enough of the layer has been read')

/**
 * The first unpacked bytes of a layer: all of them, or {@link archiveHeadBytesMax}.
 * @throws Error when it cannot be unpacked; what `read` throws
 */
export async function headOfLayer(read: ReadBlob, packing: LayerPacking, options: UnpackOptions): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    await unpack(read, packing, options, chunk => {
      // A decoder fills its buffer anew.
      chunks.push(Uint8Array.from(chunk))
      bytes += chunk.length
      if (bytes >= archiveHeadBytesMax) throw enough
    })
  } catch (error) {
    if (isCacheError(error, 'image-corrupt')) throw new Error(`it is no ${packing} archive, or is damaged`)
    if (error !== enough) throw error
  }
  return Buffer.concat(chunks)
}

/**
 * Give the bytes of a disk in a compressed layer to `take`.
 * @throws CacheError origin-unsupported where nothing unpacks it, image-corrupt when the blob is not the one that its
 * digest names, origin-protocol when it ends early; what `read` and `take` throw
 */
export async function streamDisk(
  read: ReadBlob,
  { digest, offset, packing }: CompressedPart,
  sizeBytes: number,
  take: TakeBytes,
  options: UnpackOptions,
): Promise<void> {
  const { place } = options
  let at = 0
  await verified(read, digest, place, async checked => {
    await unpack(checked, packing, options, async chunk => {
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

async function unpack(
  read: ReadBlob,
  packing: LayerPacking,
  { place, decoders }: UnpackOptions,
  take: TakeBytes,
): Promise<void> {
  if (packing === 'gzip') return gunzip(read, take)
  const complaint = decoders === null ? 'there is no decoder' : decoders.streamDecoderComplaint(packing)
  if (decoders !== null && complaint === '') return decoded(read, packing, { place, decoders }, take)
  const advice = 'install the library that unpacks zstd'
  throw new CacheError('origin-unsupported', `${place}: cannot be unpacked: ${complaint}: ${advice}`)
}

/** The first failure counts, whatever `read` makes of it. */
async function decoded(
  read: ReadBlob,
  packing: LayerPacking,
  { place, decoders }: UnpackOptions & { readonly decoders: StreamDecoders },
  take: TakeBytes,
): Promise<void> {
  const failures: unknown[] = []
  const feed: ReadBlob = step =>
    read(async chunk => {
      try {
        await step(chunk)
      } catch (error) {
        failures.push(error)
        throw error
      }
    })
  try {
    await decode(packing, place, decoders, feed, take)
  } catch (error) {
    throw failures.length > 0 ? failures[0] : error
  }
}

async function gunzip(read: ReadBlob, take: TakeBytes): Promise<void> {
  const stream = createGunzip({ chunkSize: unpackedChunkBytes })
  let failure: { readonly error: unknown } | null = null
  /** Of the write under way, which an end of the stream leaves as it is. */
  let rejectWrite: (error: unknown) => void = () => {}
  const fail = (error: unknown) => {
    failure ??= { error }
    stream.destroy()
    rejectWrite(error)
  }
  const taken = (async () => {
    for await (const chunk of stream) await take(chunk as Uint8Array)
  })().catch(fail)
  const write = (chunk: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      if (failure) return reject(failure.error)
      rejectWrite = reject
      // The callback comes when the bytes are not needed any more.
      stream.write(chunk, error => (error ? reject(error) : resolve()))
    })
  try {
    await read(write)
    stream.end()
  } catch (error) {
    fail(error)
  }
  await taken
  if (failure !== null) throw (failure as { readonly error: unknown }).error
}
