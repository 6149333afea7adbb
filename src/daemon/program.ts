/**
 * Where a server's program lies: beside us, or in the directory of another version.
 */
import { realpathSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CacheError, messageOf } from '../errors.ts'

/** The program of this version: compiled beside this file. */
export const ownServerMain = fileURLToPath(new URL('./server-main.js', import.meta.url))

/**
 * The program of the version in `directory`, where `dist/` is.
 * @throws CacheError invalid-argument when there is none, or others than root and we could have put it there
 */
export function serverMainIn(directory: string, uid: number): string {
  try {
    const main = realpathSync(join(directory, 'dist', 'daemon', 'server-main.js'))
    for (const path of [main, dirname(main), dirname(dirname(main))]) mustBeTrusted(path, uid)
    return main
  } catch (cause) {
    if (cause instanceof CacheError) throw cause
    const advice = 'name the directory in which "make build" made dist/'
    throw new CacheError('invalid-argument', `${directory} has no version of parentfs (${messageOf(cause)}): ${advice}`)
  }
}

/** Whoever can write it becomes who we are. */
function mustBeTrusted(path: string, uid: number): void {
  const { uid: owner, mode } = statSync(path)
  if ((owner === 0 || owner === uid) && (mode & 0o022) === 0) return
  throw new CacheError('invalid-argument', `${path} can be written by others: make it root's, with mode 0755`)
}
