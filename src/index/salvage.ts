/**
 * Makes an index that was not closed properly fit to be opened.
 *
 * After a crash no mark vouches for the file, see clean-mark.ts. LMDB follows the pointers in its pages unchecked, and it writes
 * where its list of free pages says: one flipped bit can crash it, hang it, or have it write over what is in use, at once or
 * much later. So another process reads every value first; where the file is small enough it also copies those whose seal
 * holds into a new file, which takes the old one's place: then nothing of the old pages is left. A file over the limit is read
 * and then used as it is.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CacheError } from '../errors.ts'
import { salvageMsMax } from '../limits.ts'

/** Beside the index while it is made. */
const copyName = 'salvaged'

/**
 * @param directory of an index that nobody has open
 * @param copyBytesMax up to this size the file is copied
 * @throws CacheError index-failed when it cannot be read to its end
 */
export function salvage(directory: string, copyBytesMax: number): void {
  const path = join(directory, 'data.mdb')
  const copy = join(directory, copyName)
  rmSync(copy, { recursive: true, force: true })
  const copies = statSync(path).size <= copyBytesMax
  const main = fileURLToPath(new URL('./salvage-main.js', import.meta.url))
  const { NODE_OPTIONS: _, ...env } = process.env
  const { status, signal, stderr } = spawnSync(process.execPath, [main, directory, ...(copies ? [copy] : [])], {
    timeout: salvageMsMax,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
  })
  if (status !== 0) {
    rmSync(copy, { recursive: true, force: true })
    const how = signal ? `reading it ended with ${signal}` : lastLine(stderr.toString())
    throw new CacheError(
      'index-failed',
      `${path} was not closed properly and is damaged (${how}): remove ${directory} to start with an empty cache`,
    )
  }
  if (!copies) return
  renameSync(join(copy, 'data.mdb'), path)
  rmSync(copy, { recursive: true, force: true })
  const fd = openSync(directory, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The line of a stack trace that says what is wrong. */
function lastLine(text: string): string {
  return /^\w*Error: .*$/m.exec(text)?.[0] ?? 'it cannot be read'
}
