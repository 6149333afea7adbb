/**
 * Finds the worker's program: beside us, or in the directory of another version, all of which is judged before it is
 * run.
 */
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { CacheError, messageOf } from '../../base/errors.ts'
import { programFile } from '../../base/program-file.ts'
import { type LookAt, lookAtDisk, mustBeTrusted, type PathEntry } from '../../base/trusted-path.ts'
import { workerProgramFilesOf } from './worker-program-files.ts'

/** The program of this version. */
export const ownWorkerMain = programFile('daemon/worker/worker-main.js')

/**
 * The program of the version in `directory`, where `dist/` is.
 * @throws CacheError invalid-argument when there is none, or others than root and we could have put any of it there
 */
export function workerMainIn(directory: string, uid: number): string {
  try {
    const named = join(directory, 'dist', 'daemon', 'server-main.js')
    const main = realpathSync(named)
    mustBeTrusted(main, 'invalid-argument', uid)
    const { files, ways } = workerProgramFilesOf(named)
    const seen = new Map<string, PathEntry | null>()
    const lookAt: LookAt = path => {
      const entry = seen.has(path) ? seen.get(path)! : lookAtDisk(path)
      seen.set(path, entry)
      return entry
    }
    for (const path of [...ways, ...files.map(file => file.path)]) mustBeTrusted(path, 'invalid-argument', uid, lookAt)
    return main
  } catch (cause) {
    if (cause instanceof CacheError) throw cause
    const advice = 'name the directory in which "make build" made dist/'
    throw new CacheError('invalid-argument', `${directory} has no version of parentfs (${messageOf(cause)}): ${advice}`)
  }
}
