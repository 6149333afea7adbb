/**
 * The LMDB environment of the index, opened with the settings that its promises rest on, once the file has been looked at.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { CacheError, messageOf } from '../errors.ts'
import { checkMark } from './clean-mark.ts'
import { salvage } from './salvage.ts'
import { databaseNames } from './seal.ts'

export type BinaryDatabase = Database<Buffer, Buffer>

export type Databases = Readonly<Record<(typeof databaseNames)[number], BinaryDatabase>> & {
  readonly root: RootDatabase<Buffer, Buffer>
}

/**
 * Open or create the index in `directory`.
 * @param copyBytesMax see salvage.ts
 * @throws CacheError index-failed
 */
export function openDatabases(directory: string, copyBytesMax: number): Databases {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const isClean = checkMark(join(directory, 'data.mdb'))
    // The directory is locked by us: what an earlier process left in LMDB's lock table means nothing.
    rmSync(join(directory, 'lock.mdb'), { force: true })
    if (!isClean) salvage(directory, copyBytesMax)
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
    // overlappingSync false: the promise of a write resolves when it is on disk. noSubdir false: the path is a directory
    // whatever its name, which lmdb otherwise guesses from a dot.
    const options = { path: directory, maxDbs: 8, overlappingSync: false, noSubdir: false, ...binary }
    const root = open<Buffer, Buffer>(options)
    const named = databaseNames.map(name => [name, root.openDB<Buffer, Buffer>({ name, ...binary })] as const)
    return { ...(Object.fromEntries(named) as Omit<Databases, 'root'>), root }
  } catch (error) {
    if (error instanceof CacheError) throw error
    throw new CacheError('index-failed', `${directory}: the index does not open: ${messageOf(error)}`, { cause: error })
  }
}
