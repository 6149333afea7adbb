/**
 * The LMDB environment of the index, opened with the settings that its promises rest on, once the file has been looked
 * at.
 */
import { randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { CacheError, messageOf } from '../base/errors.ts'
import { HeldDirectory } from '../base/held-directory.ts'
import { databaseNames } from './format/value-checksum.ts'
import { checkMark, type LastStop, leaveMark } from './recovery/clean-shutdown-mark.ts'
import { saysDamage } from './recovery/damage-error.ts'
import { removeLeftover, salvage } from './recovery/salvage.ts'

/**
 * One database of the index, as far as it is used. Keys and values that it gives may be views, valid until the next
 * step.
 */
export interface BinaryDatabase {
  get(key: Buffer): Buffer | undefined
  put(key: Buffer, value: Buffer): Promise<unknown>
  remove(key: Buffer): Promise<unknown>
  /** In the order of the keys' bytes. */
  getRange(from: { readonly start?: Buffer }): Iterable<{ readonly key: Buffer; readonly value: Buffer }>
  /** Those from `start` on that lie before `end`. */
  getKeys(range: { readonly start: Buffer; readonly end: Buffer }): Iterable<Buffer>
  /** LMDB's counts of pages, see page-bytes.ts. */
  getStats(): object
}

/** All databases and what they have in common. Passed in, so that a model can cut the power without a disk below. */
export interface Environment {
  readonly databases: Readonly<Record<(typeof databaseNames)[number], BinaryDatabase>>
  /** Run `action` in one transaction, after all writes that were called before; resolves when it is durable. */
  transaction(action: () => void): Promise<unknown>
  /** Bytes that it takes on disk. */
  readonly allocatedBytes: number
  /** @param isDamaged LMDB could not follow its pages: then the next start copies them */
  close(isDamaged: boolean): Promise<void>
}

/** Settings for the copy of an index that may be damaged, see salvage.ts. */
export interface SalvageOptions {
  /** A worker may have died of it: copy it, unless it was closed. */
  readonly isInDoubt: boolean
  /** Bytes that a copy may take; asked when one is needed. */
  copyBytesMax(): number
  /** Hears of each. @param failure null, or why the index is empty now */
  onSalvaged(failure: string | null): void
}

export interface IndexOptions {
  readonly salvage?: SalvageOptions
  /** In the place of one on disk. */
  readonly environment?: Environment
  /** Rejects when the file cannot be written now, and settles in the order of its calls. */
  readonly beforeWrite?: () => Promise<void>
  /** Hears of each write when it is over: the file may have grown. */
  readonly onWritten?: () => void
}

/** Any copy may be made, without a question. */
const salvageDefault: SalvageOptions = {
  isInDoubt: false,
  copyBytesMax: () => Number.POSITIVE_INFINITY,
  onSalvaged: () => {},
}

/**
 * Open or create the index in `given`: a directory that is held until the index is closed, or the path of one, which is
 * made if need be.
 * @throws CacheError index-failed; where LMDB cannot follow the pages, the next start copies them
 */
export function openEnvironment(given: HeldDirectory | string, salvaging = salvageDefault): Environment {
  let own: HeldDirectory | null = null
  let held: HeldDirectory | null = null
  let lastStop: LastStop = 'clean'
  try {
    if (typeof given === 'string') mkdirSync(given, { recursive: true, mode: 0o700 })
    const directory = typeof given === 'string' ? (own = HeldDirectory.open(given)) : given
    lastStop = checkMark(directory)
    held = directory
    // The directory is locked by us: what an earlier process left in LMDB's lock table means nothing.
    directory.remove('lock.mdb')
    removeLeftover(directory)
    if (lastStop === 'damaged' || (lastStop === 'crashed' && salvaging.isInDoubt)) {
      salvaging.onSalvaged(salvage(directory, () => salvaging.copyBytesMax()))
    }
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
    // overlappingSync false: the promise of a write resolves when it is on disk. noSubdir false: the path is a
    // directory whatever its name, which lmdb otherwise guesses from a dot. What is cached may be secret. Source: lmdb
    // 3.5, src/env.cpp, permissionsMode (not in its types).
    const options = {
      path: directory.place,
      maxDbs: 16,
      overlappingSync: false,
      noSubdir: false,
      permissionsMode: 0o600,
      ...binary,
    }
    const root = withLocksInMemory(directory, () => open<Buffer, Buffer>(options))
    const named = databaseNames.map(name => [name, root.openDB<Buffer, Buffer>({ name, ...binary })] as const)
    return {
      databases: Object.fromEntries(named) as unknown as Environment['databases'],
      transaction: action => root.transaction(action),
      get allocatedBytes() {
        return ['data.mdb', 'lock.mdb']
          .map(name => directory.look(name))
          .reduce((sum, stat) => sum + (stat?.blocks ?? 0) * 512, 0)
      },
      async close(isDamaged) {
        await root.close()
        leaveMark(directory, isDamaged)
        own?.close()
      },
    }
  } catch (error) {
    if (held && (lastStop !== 'clean' || saysDamage(error))) markDamaged(held)
    own?.close()
    if (error instanceof CacheError) throw error
    const path = typeof given === 'string' ? given : given.path
    throw new CacheError('index-failed', `${path}: the index does not open: ${messageOf(error)}`, { cause: error })
  }
}

/** So that the next start copies it. On a disk that takes nothing there is no mark, as after a crash. */
function markDamaged(directory: HeldDirectory): void {
  try {
    leaveMark(directory, true)
  } catch {}
}

/**
 * Open LMDB with its lock table in memory, not on the cache disk. Every read of the index writes into that table
 * through a mapping, and on a frozen file system such a write holds up the whole event loop until the thaw. The table
 * is found through a link that is gone afterwards; without /dev/shm it lies beside the data.
 */
function withLocksInMemory<T>(directory: HeldDirectory, openIt: () => T): T {
  const linkName = 'lock.mdb'
  directory.remove(linkName) // Salvage has left one.
  let fd: number | null = null
  try {
    const path = join('/dev/shm', `parentfs-${randomUUID()}`)
    fd = openSync(path, 'wx+', 0o600)
    rmSync(path)
    symlinkSync(`/proc/self/fd/${fd}`, directory.at(linkName))
  } catch {
    directory.remove(linkName)
  }
  try {
    return openIt()
  } finally {
    if (fd !== null) {
      closeSync(fd)
      directory.remove(linkName)
    }
  }
}
