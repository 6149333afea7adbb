/**
 * Checks the directory to mount on, and removes a stale mount that a killed daemon left there.
 *
 * A mount whose daemon hangs would hold a call of ours for ever, and with it this process's exit. So a child that can
 * be killed asks whether the mount still answers.
 */
import { execFile } from 'node:child_process'
import { readdir, realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { CacheError } from '../../base/errors.ts'
import { mountAnswerMsMax } from './limits.ts'
import { fileSystemType, mountAt } from './mount-table.ts'

/** `alive`: the daemon answers; `stale`: its daemon has died; `hung`: no answer in time. */
export type Vitality = 'alive' | 'stale' | 'hung'

/** Advice to operators who ask about a mount. */
const mountsAdvice = '"parentfs status" lists the mounts'

/** Advice to operators who make one. */
export const creationAdvice = 'create the directory first'

/**
 * The absolute path without symbolic links, also of a stale mount.
 * @param advice what to do when there is no such path
 * @throws CacheError invalid-argument when there is no such path
 */
export async function resolveMountpoint(path: string, advice = mountsAdvice): Promise<string> {
  if (path === '') throw unusable('""', `is no path: ${advice}`)
  try {
    return await realpath(path)
  } catch (cause) {
    const absolute = resolve(path)
    if (hasCode(cause, 'ENOTCONN', 'ECONNABORTED')) {
      return join(await realpath(dirname(absolute)), basename(absolute))
    }
    throw unusable(absolute, hasCode(cause, 'ENOENT') ? `does not exist: ${advice}` : `${cause}`, cause)
  }
}

/**
 * Make sure that `mountpoint` (resolved) is a directory with nothing mounted on it; a stale parentfs mount is detached.
 * @param detach umount2 with force
 * @throws CacheError invalid-argument (not a directory), mount-busy (something is mounted there)
 */
export async function prepareMountpoint(mountpoint: string, detach: (path: string) => Promise<void>): Promise<void> {
  // Several stale mounts may lie on top of each other; sixteen are enough.
  for (let tries = 0; tries < 16; tries++) {
    const entry = await mountAt(mountpoint)
    if (!entry) return checkDirectory(mountpoint)
    if (entry.type !== fileSystemType) {
      throw busy(mountpoint, `already has a file system of type ${entry.type} mounted on it: choose another directory`)
    }
    const vitality = await probe(mountpoint)
    if (vitality === 'alive') {
      throw busy(mountpoint, `already has a parentfs of ${entry.source} mounted on it: unmount it first`)
    }
    if (vitality === 'hung') {
      throw busy(mountpoint, 'has a parentfs mounted on it that does not answer: try "parentfs unmount --force"')
    }
    await detach(mountpoint)
  }
  throw busy(mountpoint, 'keeps its stale mounts: unmount them by hand')
}

async function checkDirectory(mountpoint: string): Promise<void> {
  try {
    await readdir(mountpoint)
  } catch (cause) {
    if (hasCode(cause, 'ENOTDIR')) throw unusable(mountpoint, 'is not a directory: name one that exists', cause)
    throw unusable(mountpoint, `cannot be read: ${(cause as Error).message}`, cause)
  }
}

/**
 * Probes the mount on `mountpoint` by a statfs, which goes to its daemon; a stat may be answered from the kernel's
 * cache.
 */
export function probe(mountpoint: string): Promise<Vitality> {
  return new Promise(resolveProbe => {
    const options = {
      timeout: mountAnswerMsMax,
      killSignal: 'SIGKILL' as const,
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
    }
    execFile('stat', ['--file-system', '--format=%T', '--', mountpoint], options, (error, _stdout, stderr) => {
      if (!error) resolveProbe('alive')
      else if (error.killed) resolveProbe('hung')
      // ENOTCONN once the daemon's descriptors are closed; ECONNABORTED while a connection is being aborted.
      else resolveProbe(/not connected|connection abort/i.test(stderr) ? 'stale' : 'alive')
    })
  })
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '')
}

function unusable(mountpoint: string, what: string, cause?: unknown): CacheError {
  return new CacheError('invalid-argument', `mountpoint ${mountpoint} ${what}`, { cause })
}

function busy(mountpoint: string, what: string): CacheError {
  return new CacheError('mount-busy', `mountpoint ${mountpoint} ${what}`)
}
