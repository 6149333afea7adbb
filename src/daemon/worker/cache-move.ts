/**
 * A move of the cache to another directory, on another disk perhaps, as the workers see it.
 *
 * The new directory begins empty, but for what is known of images: names, node ids, pins, modes and profiles are copied
 * from the index, so that handles and node ids of the kernel mean what they meant. The host's own files come along.
 * Cached blocks are fetched again. The supervisor decides which directory is in force; the old one is emptied once a
 * worker serves from the new one.
 */
import { readdir, realpath, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CacheError, messageOf } from '../../base/errors.ts'
import { HeldDirectory } from '../../base/held-directory.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import { whyUntrusted } from '../../base/trusted-path.ts'
import type { PassthroughImages } from '../../cache/passthrough-images.ts'
import { databaseNames } from '../../index/format/value-checksum.ts'
import { copyDatabases } from '../../index/recovery/salvage.ts'
import type { Addon } from '../../native/addon.ts'
import { type CacheDirectory, openCacheDirectory } from '../../store/disk/cache-directory.ts'
import { probeName } from '../../store/disk/data-directory.ts'
import { checkOverlap } from '../config/check-overlap.ts'
import { type Configuration, checkFileSystem } from '../config/configuration.ts'
import type { CacheMove } from '../config/settings.ts'
import type { UpgradeOutcome } from '../ipc/messages.ts'
import { copyHostFiles, isHostFile } from './host-files.ts'

/** Databases about cached blocks, which stay behind. */
const aboutBlocks: readonly string[] = ['residency', 'sums', 'recency', 'digests', 'seals']

/** Databases that come along: what is known of images, whatever is cached of them. */
export const movedDatabases = databaseNames.filter(name => !aboutBlocks.includes(name))

/** A move that was asked for, as the supervisor hears of it. */
export interface MoveRequest {
  readonly from: string
  readonly directory: string
  /** Ids of images that the kernel may read by itself from files of the directory that is left. */
  readonly passed: readonly string[]
}

export class CacheMover {
  readonly #move: CacheMove | null
  readonly #configuration: Configuration
  readonly #addon: Addon
  #passthrough: Pick<PassthroughImages, 'suspend'> | null = null
  #logger: Logger = silentLogger
  #left: readonly string[]
  readonly #bypass: string | null

  /**
   * @param move the last one; null: there was none
   * @param bypass the reason for which the cache is bypassed; null: it is in use
   */
  constructor(move: CacheMove | null, configuration: Configuration, addon: Addon, bypass: string | null = null) {
    this.#move = move
    this.#configuration = configuration
    this.#addon = addon
    this.#bypass = bypass
    this.#left = move ? [...(move.isClean ? [] : [move.from]), ...(move.earlier ?? [])] : []
  }

  /** The directory that the cache has left last of those that are not empty yet; null: none. */
  get left(): string | null {
    return this.#left[0] ?? null
  }

  /** Ids of images that the kernel reads by itself from files of another directory. */
  get passed(): readonly string[] {
    return this.#move?.passed ?? []
  }

  /** The cache directory is open: of a move, what is known of images comes along. @throws CacheError cache-foreign */
  async begin(directory: CacheDirectory, logger: Logger): Promise<void> {
    this.#logger = logger
    if (this.#move?.isNew) await beginMoved(directory, this.#move.from, logger)
  }

  /** Gives images to the kernel, until a move begins. */
  use(passthrough: Pick<PassthroughImages, 'suspend'>): void {
    this.#passthrough = passthrough
  }

  /**
   * Move to another directory: no further image is given to the kernel, and `ask` has another worker take over there.
   * @throws CacheError invalid-argument, cache-foreign, mount-failed in a bypass: nothing has changed then
   */
  async move(directory: string, ask: (move: MoveRequest) => Promise<UpgradeOutcome>): Promise<UpgradeOutcome> {
    if (this.#bypass !== null) throw new CacheError('mount-failed', `the cache does not move: ${this.#bypass}`)
    await checkMove(this.#configuration, directory)
    const { passed = [], resume } = this.#passthrough?.suspend() ?? {}
    const outcome = await ask({ from: this.#configuration.cache.directory, directory, passed })
    if (outcome.refusal) resume?.()
    return outcome
  }

  /** Empty the directories that the cache has left, if there are any. Never rejects. */
  async emptyLeft(onEmpty: (from: string) => Promise<void>): Promise<void> {
    for (const left of this.#left) {
      try {
        await emptyLeft(left, this.#configuration.cache.blockSize, this.#addon)
        this.#left = this.#left.filter(each => each !== left)
        await onEmpty(left)
      } catch (error) {
        this.#logger.error({ directory: left, err: error }, 'the directory that the cache has left cannot be emptied')
      }
    }
  }
}

/**
 * Could the cache move there? Nothing is made or changed, and nothing is waited for on the main thread: the path may
 * lie on a disk that hangs.
 * @throws CacheError invalid-argument, cache-foreign
 */
async function checkMove(configuration: Configuration, to: string): Promise<void> {
  const { cache } = configuration
  const moved = { ...configuration, cache: { ...cache, directory: to } }
  // First: a path in our own mount would wait for ourselves.
  await checkOverlap(moved)
  const [from, there] = await Promise.all([real(cache.directory), real(to)])
  if (isWithin(there, from) || isWithin(from, there)) {
    const advice = 'name a directory beside it, or on another disk'
    throw new CacheError('invalid-argument', `${to} and the cache directory ${from} lie in each other: ${advice}`)
  }
  await checkFileSystem(moved.cache)
  const found = await stat(there).catch(() => null)
  if (found && !found.isDirectory()) {
    throw new CacheError(
      'invalid-argument',
      `${to} is not a directory: name one that is empty, or that is not there yet`,
    )
  }
  await mustHoldNothing(there)
}

/**
 * Begin in the new directory, which is open and locked, with what the old index knows of images. The leftovers of a
 * move that failed are removed.
 * @throws CacheError cache-foreign
 */
async function beginMoved(to: CacheDirectory, from: string, logger: Logger): Promise<void> {
  await mustHoldNothing(to.top.path)
  for (const name of to.index.names()) to.index.remove(name)
  let index: HeldDirectory | null = null
  try {
    const why = whyUntrusted(from)
    if (why !== null) throw new Error(why)
    index = HeldDirectory.open(join(await real(from), 'index'))
    await copyHostFiles(await real(from), to.top)
  } catch (error) {
    logger.error({ index: from, reason: messageOf(error) }, 'the images of the index cannot be read')
  }
  if (index) await copyDatabases(index, to.index, movedDatabases, logger)
  index?.close()
}

/**
 * Empty the directory that the cache has left; what is not of parentfs stays. Files that the kernel still reads by
 * itself go with their last reader.
 * @throws CacheError cache-locked, cache-foreign, store-failed; SystemError
 */
async function emptyLeft(from: string, blockBytes: number, addon: Addon): Promise<void> {
  const version = join(from, 'VERSION')
  if (!(await namesIn(from)).includes('VERSION')) return
  const left = openCacheDirectory(from, blockBytes, addon)
  try {
    for (const directory of [left.images, left.trees, left.index]) {
      for (const name of directory.names()) await rm(directory.at(name), { recursive: true, force: true })
    }
    const files = left.top.names().filter(name => name === probeName || isHostFile(name))
    for (const name of ['images', 'trees', 'index', ...files]) left.top.remove(name)
    // Last: until then it can be recognised, and another try goes on.
    await rm(version, { force: true })
    left.top.sync()
  } finally {
    left.unlock()
  }
}

/** @throws CacheError cache-foreign */
async function mustHoldNothing(path: string): Promise<void> {
  const names = await namesIn(path)
  const others = names.filter(name => !ours.includes(name) && !isHostFile(name))
  const isCache = names.includes('VERSION') && (await namesIn(join(path, 'images'))).length === 0
  if (others.length === 0 && (isCache || names.every(name => name === 'lost+found'))) return
  throw new CacheError('cache-foreign', `${path} is not empty: name an empty directory for the cache to move to`)
}

/** Names that an empty cache may have in its directory. */
const ours: readonly string[] = ['VERSION', 'index', 'images', 'trees', 'lost+found']

/** None of what is not there. */
async function namesIn(path: string): Promise<readonly string[]> {
  return await readdir(path).catch(() => [])
}

/** Without links; a path that is not there yet stays as it is. */
async function real(path: string): Promise<string> {
  return await realpath(path).catch(() => path)
}

function isWithin(path: string, directory: string): boolean {
  return `${path}/`.startsWith(`${directory}/`)
}
