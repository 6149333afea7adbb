/**
 * Mounts and unmounts one directory: by system call as root, through fusermount3 otherwise.
 *
 * The only place that decides what the kernel is told in mount options. Everything else sees {@link Mounter}.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { CacheError, messageOf } from '../errors.ts'
import { fusermountMsMax, readBytesMax } from '../limits.ts'
import type { Addon } from '../native/addon.ts'
import { fileSystemType, mountAt } from './mount-table.ts'
import { prepareMountpoint } from './mountpoint.ts'

export interface Mounter {
  readonly mountpoint: string
  /** @throws CacheError invalid-argument, mount-busy: nothing can be mounted there */
  prepare(): Promise<void>
  /**
   * @param source shown in the mount table: the origin's URL without credentials
   * @returns a descriptor of /dev/fuse; the kernel's INIT request waits on it
   * @throws CacheError mount-failed
   */
  mount(source: string, allowOther: boolean): Promise<number>
  /**
   * Nothing mounted is a success.
   * @param force detach it whoever uses it; with root's rights the connection is aborted too
   * @throws CacheError mount-busy (only without force), mount-failed
   */
  unmount(force: boolean): Promise<void>
}

/** @param mountpoint absolute, without symbolic links */
export function createMounter(addon: Addon, mountpoint: string): Mounter {
  return process.geteuid?.() === 0 ? new RootMounter(addon, mountpoint) : new UserMounter(addon, mountpoint)
}

/** What both have in common. */
abstract class AnyMounter implements Mounter {
  readonly mountpoint: string
  protected readonly addon: Addon

  constructor(addon: Addon, mountpoint: string) {
    this.addon = addon
    this.mountpoint = mountpoint
  }

  prepare(): Promise<void> {
    return prepareMountpoint(this.mountpoint, () => this.unmount(true))
  }

  abstract mount(source: string, allowOther: boolean): Promise<number>
  abstract unmount(force: boolean): Promise<void>
}

class RootMounter extends AnyMounter {
  async mount(source: string, allowOther: boolean): Promise<number> {
    // rootmode is S_IFDIR, which the kernel wants before it has asked for attributes.
    const options = ['rootmode=40000', 'user_id=0', 'group_id=0', 'default_permissions', `max_read=${readBytesMax}`]
    if (allowOther) options.push('allow_other')
    let fd: number | null = null
    try {
      fd = this.addon.openFuse()
      this.addon.mountFuse(fd, source, this.mountpoint, options.join(','))
      return fd
    } catch (cause) {
      if (fd !== null) this.addon.closeFd(fd)
      throw failed(this.mountpoint, messageOf(cause), cause)
    }
  }

  async unmount(force: boolean): Promise<void> {
    try {
      this.addon.unmount(this.mountpoint, force)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code === 'EINVAL') return
      if (code === 'EBUSY') throw new CacheError('mount-busy', `${this.mountpoint} is in use`, { cause })
      throw failed(this.mountpoint, `could not be unmounted: ${messageOf(cause)}`, cause)
    }
  }
}

class UserMounter extends AnyMounter {
  async mount(source: string, allowOther: boolean): Promise<number> {
    const escaped = source.replace(/[\\,]/g, '\\$&')
    const options = ['ro', 'nosuid', 'nodev', 'default_permissions', `max_read=${readBytesMax}`]
    options.push(`fsname=${escaped}`, `subtype=${fileSystemType.replace('fuse.', '')}`)
    if (allowOther) options.push('allow_other')
    const [ours, theirs] = this.addon.socketPair()
    try {
      const problem = await fusermount(['-o', options.join(','), '--', this.mountpoint], theirs)
      if (problem !== null) throw failed(this.mountpoint, problem)
      // It has gone and said yes: the descriptor waits in the socket, so this does not block.
      return this.addon.receiveFd(ours)
    } finally {
      this.addon.closeFd(ours)
      this.addon.closeFd(theirs)
    }
  }

  async unmount(force: boolean): Promise<void> {
    const problem = await fusermount(['-u', ...(force ? ['-z'] : []), '--', this.mountpoint], null)
    if (problem === null) return
    const entry = await mountAt(this.mountpoint)
    if (entry?.type !== fileSystemType) return
    if (/busy/i.test(problem)) throw new CacheError('mount-busy', `${this.mountpoint} is in use`)
    throw failed(this.mountpoint, `could not be unmounted: ${problem}`)
  }
}

/**
 * @param socket where it sends the descriptor, or null
 * @returns null, or what it complained about
 */
async function fusermount(args: readonly string[], socket: number | null): Promise<string | null> {
  const child = spawn('fusermount3', args, {
    stdio: ['ignore', 'ignore', 'pipe', ...(socket === null ? [] : [socket])],
    env: { ...process.env, LC_ALL: 'C', _FUSE_COMMFD: '3' },
    timeout: fusermountMsMax,
    killSignal: 'SIGKILL',
  })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    if (code === 0) return null
    return said.trim().split('\n').at(-1) || `fusermount3 ended with ${code ?? 'a signal'}`
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    return missing ? 'fusermount3 is missing: install the package fuse3, or run as root' : messageOf(cause)
  }
}

function failed(mountpoint: string, what: string, cause?: unknown): CacheError {
  return new CacheError('mount-failed', `mountpoint ${mountpoint}: ${what}`, { cause })
}
