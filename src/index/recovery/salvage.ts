/**
 * Salvage: copies an index that may be damaged into a new one, in another process, so that reading it can end that
 * process and no worker.
 *
 * After a crash no mark vouches for the file, see clean-shutdown-mark.ts. LMDB follows the pointers in its pages
 * unchecked, and it writes where its list of free pages says. One flipped bit can crash it, hang it, or have it write
 * over pages in use, at once or much later. A crash alone leaves a sound file, so an index that was not closed is
 * opened as it is. It is copied after LMDB met an error in it, or after a worker died of a signal or hung without
 * closing it: the next worker is told. Values whose checksum matches go into a new file, which takes the old one's
 * place. Without room for a copy, or without one in time, an empty index does.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fsyncSync, readSync, renameSync } from 'node:fs'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { HeldDirectory } from '../../base/held-directory.ts'
import type { Logger } from '../../base/logger.ts'
import { noInspectorArguments } from '../../base/no-inspector.ts'
import { programFile } from '../../base/program-file.ts'
import { salvageMsMax } from './limits.ts'
import { isSparse, openPlain } from './plain-file.ts'

/** Of LMDB. */
const databaseName = 'data.mdb'
/** Beside the index while it is made. */
const copyName = 'salvaged'
const chunkBytes = 4 * 1024 * 1024

const copyMain = programFile('index/recovery/salvage-main.js')

/** The first descriptors of a child after its standard ones, as paths: the parent decides their files. */
const [firstGiven, secondGiven] = ['/proc/self/fd/3', '/proc/self/fd/4']

/** Removes the unfinished copy of an earlier start. */
export function removeLeftover(directory: HeldDirectory): void {
  directory.remove(copyName)
}

/**
 * Put a copy, or nothing, in the place of the index in `directory`, which is not open anywhere.
 * @param copyBytesMax bytes that a copy may take; asked when one is needed
 * @returns null when it was copied, or the reason why the index is empty now
 * @throws CacheError index-failed when the copying process was killed from outside; SystemError when the disk does not
 * give the file, or no process could be started. Nothing has changed then.
 */
export function salvage(directory: HeldDirectory, copyBytesMax: () => number): string | null {
  const file = directory.look(databaseName)
  if (!file) return null
  if (!isSparse(file)) readThrough(directory)
  const [neededBytes, roomBytes] = [file.blocks * 512, copyBytesMax()]
  const failure =
    neededBytes > roomBytes ? `a copy needs ${neededBytes} bytes, and there are ${roomBytes}` : copyIn(directory)
  if (failure === null) takePlace(directory)
  else directory.remove(databaseName)
  directory.remove(copyName)
  directory.sync()
  return failure
}

/** A page that the disk does not give would end the copying process, as damage does. @throws SystemError */
function readThrough(directory: HeldDirectory): void {
  const chunk = Buffer.allocUnsafe(chunkBytes)
  const fd = openPlain(directory.at(databaseName))
  try {
    for (let at = 0, read = 1; read > 0; at += read) read = readSync(fd, chunk, 0, chunkBytes, at)
  } finally {
    closeSync(fd)
  }
}

/** The copy becomes the index, durably: the process that made it does not wait for the disk. */
function takePlace(directory: HeldDirectory): void {
  const copy = directory.below(copyName)
  try {
    const fd = openPlain(copy.at(databaseName))
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(copy.at(databaseName), directory.at(databaseName))
  } finally {
    copy.close()
  }
}

/**
 * Copy the lists of images and names from an index that must not be opened, into a new one. Values that cannot be
 * copied, or not in time, are left out: there may be no copy at all.
 */
export function copyImages(from: HeldDirectory, to: HeldDirectory, logger: Logger): Promise<void> {
  return copyDatabases(from, to, ['images', 'names'], logger)
}

/** The same of the databases with these names. */
export async function copyDatabases(
  from: HeldDirectory,
  to: HeldDirectory,
  names: readonly string[],
  logger: Logger,
): Promise<void> {
  const child = spawn(process.execPath, [...noInspectorArguments, copyMain, firstGiven, secondGiven, ...names], {
    stdio: ['ignore', 'ignore', 'ignore', from.fd, to.fd],
    timeout: salvageMsMax,
    killSignal: 'SIGKILL',
    env: {}, // Damaged pages may end it, and secrets do not belong in its core.
  })
  try {
    // One that the disk holds cannot even be killed.
    const late = () => new CacheError('index-failed', 'it takes too long')
    const [code, signal] = await withTimeout(salvageMsMax, once(child, 'exit'), late)
    if (code !== 0) throw new CacheError('index-failed', `it ended with ${signal ?? `exit code ${code}`}`)
  } catch (error) {
    for (const name of to.names()) to.remove(name)
    logger.error({ index: from.path, reason: messageOf(error) }, 'the images of the index cannot be read')
  }
}

/** @returns null, or why there is no copy. @throws what says nothing of the index */
function copyIn(directory: HeldDirectory): string | null {
  const { status, signal, stderr, error } = spawnSync(
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
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT')
    return `it takes more than ${salvageMsMax / 1000} s`
  if (error) throw error
  if (signal === 'SIGKILL')
    throw new CacheError('index-failed', `${directory.path}: the process that copies it was killed`)
  return signal ? `reading it ended with ${signal}` : lastLine(stderr.toString())
}

/** The line of a stack trace that says what is wrong. */
function lastLine(text: string): string {
  return /^\w*Error: .*$/m.exec(text)?.[0] ?? 'it cannot be read'
}
