/**
 * Cacheless mode: a worker that runs without the cache, after a crash loop that the cache directory may have caused.
 *
 * Nothing there is opened or changed. It has an empty temporary cache that keeps nothing, so all reads go to the
 * origins. Another process copies the list of images from the index, so that handles and node ids of the kernel mean
 * what they meant. Where that fails, names come from the origins, and an open image that is not found there is ESTALE.
 */
import { realpathSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import { HeldDirectory } from '../../base/held-directory.ts'
import type { Logger } from '../../base/logger.ts'
import { whyUntrusted } from '../../base/trusted-path.ts'
import { copyImages } from '../../index/recovery/salvage.ts'
import type { Configuration } from '../config/configuration.ts'
import { capacityMin } from '../config/schema.ts'
import { type AssemblyContext, Rooms } from './assemble.ts'

/** The differences for Rooms. */
export interface CachelessMode {
  readonly reason: string
  /** Put what is known of images into a new index, if it can be. */
  seed(index: HeldDirectory): Promise<void>
  close(): void
}

export interface CachelessContext extends Omit<AssemblyContext, 'bypass' | 'indexDoubt'> {
  /** Why. */
  readonly reason: string
  /** The directory of its own cache while it runs; an earlier content is removed. */
  readonly directory: string
}

/** The smallest there are: nothing is kept in them. */
const blockBytes = 4096

/** @throws CacheError as Rooms.open */
export async function openCacheless(configuration: Configuration, parts: CachelessContext): Promise<Rooms> {
  const { cache } = configuration
  const { directory } = parts
  const [above, name] = [HeldDirectory.open(dirname(directory)), basename(directory)]
  above.remove(name)
  above.made(name).close()
  const temporary = { ...cache, directory, blockSize: blockBytes, capacity: capacityMin(blockBytes) }
  const bypass = {
    reason: `the cache in ${cache.directory} is bypassed: ${parts.reason}`,
    seed: (index: HeldDirectory) => seed(cache.directory, index, parts.logger),
    close: () => {
      above.remove(name)
      above.close()
    },
  }
  return Rooms.open({ ...configuration, cache: temporary }, { ...parts, bypass, indexDoubt: null })
}

/** A cache directory that is not there, or that others can exchange, knows nothing. */
async function seed(cacheDirectory: string, to: HeldDirectory, logger: Logger): Promise<void> {
  let from: HeldDirectory | null = null
  try {
    const why = whyUntrusted(cacheDirectory)
    if (why !== null) throw new Error(why)
    from = HeldDirectory.open(`${realpathSync(cacheDirectory)}/index`)
  } catch (error) {
    logger.error({ index: cacheDirectory, reason: messageOf(error) }, 'the images of the index cannot be read')
  }
  if (from) await copyImages(from, to, logger)
  from?.close()
}
