/**
 * Makes an index that was not closed properly fit to be opened.
 *
 * After a crash no mark vouches for the file, see clean-mark.ts. LMDB follows the pointers in its pages unchecked, and it writes
 * where its list of free pages says: one flipped bit can crash it, hang it, or have it write over what is in use, at once or
 * much later. So every page is looked at first, see soundness.ts; a crash alone leaves a sound file, which is opened as it is. Of
 * one that is not, another process copies the values whose seal holds into a new file, which takes the old one's place: then
 * nothing of the old pages is left. Where a copy has no room, or cannot be made, the index is refused.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { within } from '../deadline.ts'
import { CacheError, messageOf } from '../errors.ts'
import { salvageMsMax } from '../limits.ts'
import type { Logger } from '../logger.ts'
import { whatIsUnsound } from './soundness.ts'

/** Beside the index while it is made. */
const copyName = 'salvaged'

const copyMain = fileURLToPath(new URL('./salvage-main.js', import.meta.url))

/**
 * @param directory of an index that nobody has open
 * @param copyBytesMax how large a copy may be; asked when one is needed
 * @throws CacheError index-failed when it is damaged and cannot be copied
 */
export function salvage(directory: string, copyBytesMax: () => number): void {
  const path = join(directory, 'data.mdb')
  const copy = join(directory, copyName)
  rmSync(copy, { recursive: true, force: true })
  const damage = existsSync(path) ? whatIsUnsound(path) : null
  if (damage === null) return
  const { size } = statSync(path)
  const roomBytes = copyBytesMax()
  const failure = size > roomBytes ? `a copy needs ${size} bytes, and there are ${roomBytes}` : copyTo(directory, copy)
  if (failure !== null) {
    rmSync(copy, { recursive: true, force: true })
    const what = `${path} was not closed properly and is damaged (${damage}; ${failure})`
    throw new CacheError('index-failed', `${what}: remove ${directory} to start with an empty cache`)
  }
  renameSync(join(copy, 'data.mdb'), path)
  rmSync(copy, { recursive: true, force: true })
  const fd = openSync(directory, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Copy which images and names there are from an index that nobody may open, into a new one. What cannot be copied, or not in time, is
 * left out: there may be no copy at all.
 */
export async function copyImages(from: string, to: string, logger: Logger): Promise<void> {
  const child = spawn(process.execPath, [copyMain, from, to, 'images', 'names'], {
    stdio: 'ignore',
    timeout: salvageMsMax,
    killSignal: 'SIGKILL',
    env: {}, // Damaged pages may end it, and secrets do not belong in its core.
  })
  try {
    // One that the disk holds cannot even be killed.
    const late = () => new CacheError('index-failed', 'it takes too long')
    const [code, signal] = await within(salvageMsMax, once(child, 'exit'), late)
    if (code !== 0) throw new CacheError('index-failed', `it ended with ${signal ?? `exit code ${code}`}`)
  } catch (error) {
    rmSync(to, { recursive: true, force: true })
    logger.error({ index: from, reason: messageOf(error) }, 'what the index knows of images cannot be read')
  }
}

/** @returns null, or why there is no copy */
function copyTo(directory: string, copy: string): string | null {
  const { status, signal, stderr } = spawnSync(process.execPath, [copyMain, directory, copy], {
    timeout: salvageMsMax,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {}, // Damaged pages may end it, and secrets do not belong in its core.
  })
  if (status === 0) return null
  return signal ? `reading it ended with ${signal}` : lastLine(stderr.toString())
}

/** The line of a stack trace that says what is wrong. */
function lastLine(text: string): string {
  return /^\w*Error: .*$/m.exec(text)?.[0] ?? 'it cannot be read'
}
