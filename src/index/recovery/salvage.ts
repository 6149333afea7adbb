/**
 * Makes an index that was not closed properly fit to be opened.
 *
 * After a crash no mark vouches for the file, see clean-shutdown-mark.ts. LMDB follows the pointers in its pages unchecked, and it writes
 * where its list of free pages says: one flipped bit can crash it, hang it, or have it write over what is in use, at once or
 * much later. So every page is looked at first, see lmdb-check.ts; a crash alone leaves a sound file, which is opened as it is. Of
 * one that is not, another process copies the values whose seal holds into a new file, which takes the old one's place: then
 * nothing of the old pages is left. Where a copy has no room, or cannot be made, the index is refused.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { HeldDirectory } from '../../base/held-directory.ts'
import type { Logger } from '../../base/logger.ts'
import { noInspectorArguments } from '../../base/no-inspector.ts'
import { salvageMsMax } from './limits.ts'
import { findDamage } from './lmdb-check.ts'

/** Beside the index while it is made. */
const copyName = 'salvaged'

const copyMain = fileURLToPath(new URL('./salvage-main.js', import.meta.url))

/** The first descriptors of a child after its standard ones, as paths: what they hold is named by who started it. */
const [firstGiven, secondGiven] = ['/proc/self/fd/3', '/proc/self/fd/4']

/**
 * @param directory of an index that nobody has open
 * @param copyBytesMax how large a copy may be; asked when one is needed
 * @throws CacheError index-failed when it is damaged and cannot be copied
 */
export function salvage(directory: HeldDirectory, copyBytesMax: () => number): void {
  directory.remove(copyName)
  const file = directory.look('data.mdb')
  const damage = file ? findDamage(directory.at('data.mdb')) : null
  if (!file || damage === null) return
  const roomBytes = copyBytesMax()
  const failure =
    file.size > roomBytes ? `a copy needs ${file.size} bytes, and there are ${roomBytes}` : copyIn(directory)
  if (failure !== null) {
    directory.remove(copyName)
    const what = `${directory.path}/data.mdb was not closed properly and is damaged (${damage}; ${failure})`
    throw new CacheError('index-failed', `${what}: remove ${directory.path} to start with an empty cache`)
  }
  const copy = directory.below(copyName)
  try {
    renameSync(copy.at('data.mdb'), directory.at('data.mdb'))
  } finally {
    copy.close()
  }
  directory.remove(copyName)
  directory.sync()
}

/**
 * Copy which images and names there are from an index that nobody may open, into a new one. What cannot be copied, or not in time, is
 * left out: there may be no copy at all.
 */
export async function copyImages(from: HeldDirectory, to: HeldDirectory, logger: Logger): Promise<void> {
  const child = spawn(
    process.execPath,
    [...noInspectorArguments, copyMain, firstGiven, secondGiven, 'images', 'names'],
    {
      stdio: ['ignore', 'ignore', 'ignore', from.fd, to.fd],
      timeout: salvageMsMax,
      killSignal: 'SIGKILL',
      env: {}, // Damaged pages may end it, and secrets do not belong in its core.
    },
  )
  try {
    // One that the disk holds cannot even be killed.
    const late = () => new CacheError('index-failed', 'it takes too long')
    const [code, signal] = await withTimeout(salvageMsMax, once(child, 'exit'), late)
    if (code !== 0) throw new CacheError('index-failed', `it ended with ${signal ?? `exit code ${code}`}`)
  } catch (error) {
    for (const name of to.names()) to.remove(name)
    logger.error({ index: from.path, reason: messageOf(error) }, 'what the index knows of images cannot be read')
  }
}

/** @returns null, or why there is no copy */
function copyIn(directory: HeldDirectory): string | null {
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    [...noInspectorArguments, copyMain, firstGiven, `${firstGiven}/${copyName}`],
    {
      timeout: salvageMsMax,
      killSignal: 'SIGKILL',
      stdio: ['ignore', 'ignore', 'pipe', directory.fd],
      env: {}, // Damaged pages may end it, and secrets do not belong in its core.
    },
  )
  if (status === 0) return null
  return signal ? `reading it ended with ${signal}` : lastLine(stderr.toString())
}

/** The line of a stack trace that says what is wrong. */
function lastLine(text: string): string {
  return /^\w*Error: .*$/m.exec(text)?.[0] ?? 'it cannot be read'
}
