/**
 * Rejects a cache directory, an origin or a file of ours below the mountpoint: after mounting, the daemon would read it
 * through itself and deadlock.
 */
import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CacheError } from '../../base/errors.ts'
import { isWithin } from '../../base/is-within.ts'
import type { Configuration } from './configuration.ts'

type Places = Pick<Configuration, 'mountpoint' | 'places'> & { readonly cache: { readonly directory: string } }

/**
 * Check the cache directory and the directories that are origins.
 * @throws CacheError invalid-argument
 */
export async function checkOverlap(places: Places): Promise<void> {
  const [overlap] = await findOverlaps(places)
  if (overlap !== undefined) throw new CacheError('invalid-argument', overlap)
}

/** @returns a sentence for each of these directories that lies in the mountpoint */
export async function findOverlaps({ mountpoint, cache, places }: Places): Promise<string[]> {
  const lived = places
    .map(({ settings: { url } }) => url)
    .filter(url => url.startsWith('file:'))
    .map(url => ({ what: `origin ${url}`, path: fileURLToPath(url) }))
  lived.push({ what: `cache directory ${cache.directory}`, path: cache.directory })
  const found: string[] = []
  for (const { what, path } of lived) {
    if (!isWithin(path, mountpoint) && !isWithin(await resolved(path), mountpoint)) continue
    const why = `lies in the mountpoint ${mountpoint}, which would hide it`
    found.push(`${what} ${why}: mount elsewhere, or name another directory`)
  }
  return found
}

/** Without symbolic links, as far as it is there. */
async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    const above = dirname(path)
    return above === path ? path : join(await resolved(above), basename(path))
  }
}
