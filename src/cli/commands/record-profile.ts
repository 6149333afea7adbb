/**
 * `parentfs profile record`: runs a command on an image behind an empty cache, and writes down what it reads.
 *
 * The mount, its cache and the cache's index are in a directory of their own, which goes with the command. Nothing is
 * read ahead there: the profile has the reads of the command and no others.
 */

import { spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { requestProfile } from '../../admin/admin-client.ts'
import { socketPath, trustedRuntimeDirectory } from '../../admin/socket-path.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { formatProfileFile } from '../../cache/prefetch/profile-file.ts'
import type { Settings } from '../../daemon/config/settings.ts'
import { profileSuffix } from '../../origin/contract/image-name.ts'
import { remark, say } from '../output/terminal-output.ts'
import { superviseInBackground } from './background.ts'
import { recordCapacityBytes, recordKillMs, recordRequests } from './limits.ts'
import { described } from './profile.ts'
import { unmount } from './unmount.ts'

export interface RecordArguments {
  /** Its path or its URL. */
  readonly image: string
  /** `{}` stands for the path of the image in the mount. */
  readonly words: readonly string[]
  /** Boot it in place of a command. */
  readonly boots: boolean
  /** Null: beside the working directory's other files, under the name that publishers use. */
  readonly output: string | null
  /** The time after which the command is ended. */
  readonly msMax: number
}

/**
 * @returns the exit code: that of the command when it failed
 * @throws CacheError invalid-argument, not-found, mount-failed, origin-*
 */
export async function recordProfile(args: RecordArguments): Promise<number> {
  if (args.boots === args.words.length > 0) {
    throw new CacheError('invalid-argument', 'give a COMMAND after "--", or --boot')
  }
  const { url, name } = placeOf(args.image)
  const output = resolve(args.output ?? `${name}${profileSuffix}`)
  const top = realpathSync(mkdtempSync(join(tmpdir(), 'parentfs-record-')))
  const mountpoint = join(top, 'mnt')
  let isMounted = false
  try {
    mkdirSync(mountpoint)
    await superviseInBackground(settingsOf(url, top, mountpoint))
    isMounted = true
    const path = join(mountpoint, name)
    mustBeThere(path, args.image)
    const words = args.boots ? bootOf(path) : args.words.map(word => word.replaceAll('{}', path))
    const exitCode = await run(words, path, args.msMax, args.boots)
    if (exitCode !== 0) {
      remark(`${words[0]} ended with exit code ${exitCode}: no profile is written`)
      return exitCode
    }
    return await write(mountpoint, name, output)
  } finally {
    if (isMounted) await unmount(mountpoint, true)
    rmSync(top, { recursive: true, force: true })
  }
}

/** The origin and the name in it. */
function placeOf(image: string): { readonly url: string; readonly name: string } {
  if (!/^[a-z]+:\/\//i.test(image)) {
    const path = resolve(image)
    return { url: `${pathToFileURL(dirname(path))}/`, name: basename(path) }
  }
  const end = image.lastIndexOf('/') + 1
  if (/[?#]/.test(image) || end === image.length || end <= image.indexOf('//') + 2) {
    throw new CacheError('invalid-argument', `${image} names no image: write it like https://host/images/NAME`)
  }
  return { url: image.slice(0, end), name: decodeURIComponent(image.slice(end)) }
}

function settingsOf(url: string, top: string, mountpoint: string): Settings {
  const cacheDirectory = join(top, 'cache')
  const log = { level: 'warn', file: join(top, 'log'), format: 'json' }
  return {
    configFile: null,
    cacheDirectory,
    mountpoint,
    source: null,
    log: { level: log.level, file: log.file, pretty: false },
    document: {
      mountpoint,
      origin: { url, requests: recordRequests },
      cache: { directory: cacheDirectory, capacity: recordCapacityBytes },
      // The kernel would tell of no read.
      passthrough: false,
      log,
    },
  }
}

function mustBeThere(path: string, image: string): void {
  try {
    statSync(path)
  } catch (cause) {
    const advice = 'give the path or the URL of an image'
    throw new CacheError('not-found', `${image}: the origin has no image of this name: ${advice}`, { cause })
  }
}

/** An emulator that boots the image, writes nothing to it, and has no display and no network. */
function bootOf(path: string): string[] {
  const [emulator, machine] = process.arch === 'arm64' ? ['aarch64', 'virt'] : ['x86_64', 'q35']
  const drive = `file=${path.replaceAll(',', ',,')},format=${formatOf(path)},if=virtio,snapshot=on`
  const quiet = ['-display', 'none', '-monitor', 'none', '-serial', 'none', '-nic', 'none', '-no-reboot']
  const size = ['-machine', `${machine},accel=${isAccessible('/dev/kvm') ? 'kvm' : 'tcg'}`, '-cpu', 'max', '-m', '1024']
  return [`qemu-system-${emulator}`, ...size, ...quiet, '-drive', drive]
}

/** By its name: looking into it would be a read of the profile. */
function formatOf(path: string): 'qcow2' | 'raw' {
  return path.endsWith('.qcow2') ? 'qcow2' : 'raw'
}

function isAccessible(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Run a command with all that it starts, until it ends or its time is over.
 * @param mayTakeAll the end of the time is no failure
 * @returns its exit code, above 128 after a signal
 */
function run([file, ...words]: readonly string[], path: string, msMax: number, mayTakeAll: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    // A group of its own: what it leaves behind would hold the mount.
    const env = { ...process.env, PARENTFS_IMAGE: path }
    const child = spawn(file!, words, { stdio: ['ignore', 'inherit', 'inherit'], detached: true, env })
    let isLate = false
    let killing: NodeJS.Timeout | undefined
    const signalGroup = (signal: NodeJS.Signals) => {
      try {
        if (child.pid) process.kill(-child.pid, signal)
      } catch {
        // It has gone.
      }
    }
    const stop = () => {
      signalGroup('SIGTERM')
      killing ??= setTimeout(() => signalGroup('SIGKILL'), recordKillMs)
    }
    const timer = setTimeout(() => {
      isLate = true
      stop()
    }, msMax)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop)
    const end = () => {
      clearTimeout(timer)
      clearTimeout(killing)
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop)
    }
    child.once('error', cause => {
      end()
      reject(new CacheError('invalid-argument', `${file} cannot be started: ${messageOf(cause)}`, { cause }))
    })
    child.once('exit', (code, signal) => {
      end()
      signalGroup('SIGKILL')
      if (isLate && !mayTakeAll) remark(`${file} was ended after ${msMax / 1000} s: give more with --time`)
      resolve(isLate && mayTakeAll ? 0 : (code ?? 128 + (signal === 'SIGINT' ? 2 : 15)))
    })
  })
}

/** @returns the exit code: 1 when nothing was read */
async function write(mountpoint: string, name: string, output: string): Promise<number> {
  const answer = await requestProfile(socketPath(mountpoint, trustedRuntimeDirectory()), name, true)
  const file = answer?.profile?.file
  if (!file) {
    remark(`nothing of ${name} was read: no profile is written`)
    return 1
  }
  writeFileSync(output, formatProfileFile(file))
  say(`${output}: ${described(file)}`)
  return 0
}
