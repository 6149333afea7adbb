/**
 * The digest of an object, found in the small objects beside it by lookups and reads.
 */
import { CacheError, isCacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { digestFileBytesMax } from '../../base/limits.ts'
import { type Digest, digestBeside } from './digest.ts'
import type { Origin, ReadOptions } from './origin.ts'

/** @throws CacheError as Origin.digest */
export async function digestBesideObject(
  origin: Pick<Origin, 'lookup' | 'read' | 'url'>,
  image: Image,
  options: ReadOptions,
): Promise<Digest | null> {
  const mustBeCurrent = async () => {
    const now = await found(origin.lookup(image.key, options))
    if (now?.validator === image.validator) return
    throw new CacheError('image-changed', `${origin.url} ${image.key}: is no longer the version that was opened`)
  }
  const slash = image.key.lastIndexOf('/') + 1
  await mustBeCurrent()
  const digest = await digestBeside(image.key.slice(slash), file =>
    textOf(origin, image.key.slice(0, slash) + file, options),
  )
  // An object of sums is about the version that was there all the while.
  if (digest !== null) await mustBeCurrent()
  return digest
}

/** A small object; null where it is none. */
async function textOf(
  origin: Pick<Origin, 'lookup' | 'read'>,
  key: string,
  options: ReadOptions,
): Promise<string | null> {
  const facts = await found(origin.lookup(key, options))
  if (facts === null || facts.sizeBytes > digestFileBytesMax) return null
  const bytes = Buffer.alloc(facts.sizeBytes)
  await origin.read({ ...facts, id: key }, 0, bytes, options)
  return bytes.toString('utf8')
}

function found<T>(asked: Promise<T>): Promise<T | null> {
  return asked.catch(error => {
    if (isCacheError(error, 'not-found')) return null
    throw error
  })
}
