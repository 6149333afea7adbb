/**
 * Mounts and unmounts one directory: by system call as root, through fusermount3 otherwise.
 *
 * The only place that decides what the kernel is told in mount options. Everything else sees {@link Mounter}.
 *
 * After a mount has gone, another one may lie on the same directory. So once our mount is known, no other is touched.
 * It is known by its device number, which no other takes while the file system lives; its descriptor tells that.
 * Afterwards only a mount that does not answer is taken away.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { CacheError, messageOf } from '../../base/errors.ts'
import { readBytesMax } from '../../base/limits.ts'
import type { Addon } from '../../native/addon.ts'
import { fusermountMsMax } from './limits.ts'
import { findNamespaceHolders } from './mount-holders.ts'
import { fileSystemType, mountAt, mountsAt } from './mount-table.ts'
import { prepareMountpoint, probe } from './mountpoint.ts'

export interface Mounter {
  readonly mountpoint: string
  /** Of the mount that is ours, as in the mount table; null while that is not known. */
  readonly device: string | null
  /** @throws CacheError invalid-argument, mount-busy: nothing can be mounted there */
  prepare(): Promise<void>
  /**
   * @param source shown in the mount table: the origin's URL without credentials
   * @returns a descriptor of /dev/fuse; the kernel's INIT request waits on it
   * @throws CacheError mount-failed; mount-busy when something else was mounted there since {@link Mounter.prepare}
   */
  mount(source: string, allowOther: boolean): Promise<number>
  /**
   * Takes the mount that another process has made for ours.
   * @param fd its descriptor of /dev/fuse, which stays open until after the last unmount; null where this process has
   * none
   * @param device of it, where that is known
   */
  adopt(fd: number | null, device?: string): Promise<void>
  /**
   * Unmounts. Nothing mounted, or only a mount known not to be ours, is a success.
   * @param force detach it in spite of its users; with root's rights the connection is aborted too
   * @throws CacheError mount-busy (only without force): somebody uses it, in another mount namespace perhaps;
   * mount-failed: also when ours lies under another mount
   */
  unmount(force: boolean): Promise<void>
}

/** @param mountpoint absolute, without symbolic links */
export function createMounter(addon: Addon, mountpoint: string): Mounter {
  return process.geteuid?.() === 0 ? new RootMounter(addon, mountpoint) : new UserMounter(addon, mountpoint)
}

/** The common part of both mounters. */
abstract class AnyMounter implements Mounter {
  readonly mountpoint: string
  protected readonly addon: Addon
  /** Of the mount that is ours; null while that is not known: then whichever is there counts as ours. */
  #device: string | null = null
  #fd: number | null = null

  constructor(addon: Addon, mountpoint: string) {
    this.addon = addon
    this.mountpoint = mountpoint
  }

  prepare(): Promise<void> {
    return prepareMountpoint(this.mountpoint, () => this.unmount(true))
  }

  async mount(source: string, allowOther: boolean): Promise<number> {
    const fd = await this.make(source, allowOther)
    try {
      await this.#mustBeAlone()
      await this.adopt(fd)
      return fd
    } catch (error) {
      this.addon.closeFd(fd)
      throw error
    }
  }

  get device(): string | null {
    return this.#device
  }

  async adopt(fd: number | null, device?: string): Promise<void> {
    this.#fd = fd
    // Nothing was there when it was mounted, so ours is the lowest.
    this.#device = device ?? (await mountsAt(this.mountpoint))[0]?.device ?? 'gone already'
  }

  async unmount(force: boolean): Promise<void> {
    const lives = this.#fd === null || this.addon.isFuseConnected(this.#fd)
    if (lives && !force) await this.#mustNotBeUsedElsewhere()
    if (this.#device === null) return this.remove(force)
    const there = await mountsAt(this.mountpoint)
    const ours = there.findIndex(({ device, type }) => device === this.#device && type === fileSystemType)
    if (ours < 0) return
    if (!lives && (await probe(this.mountpoint)) !== 'stale') return
    const above = there[ours + 1]
    if (!above) return this.remove(force)
    throw failed(this.mountpoint, `lies under another mount (${above.type} of ${above.source}): unmount that one first`)
  }

  async #mustNotBeUsedElsewhere(): Promise<void> {
    const device = this.#device ?? (await mountAt(this.mountpoint))?.device
    if (device === undefined || (await findNamespaceHolders(device)).length === 0) return
    throw new CacheError('mount-busy', `${this.mountpoint} is in use`)
  }

  /** Two users have a lock each (see mountpoint-lock.ts), so both may have found the directory free. */
  async #mustBeAlone(): Promise<void> {
    if ((await mountsAt(this.mountpoint)).length <= 1) return
    await this.remove(true) // The visible one: ours, or that of the other, which is refused as well.
    const advice = 'look with "mount", then try again'
    throw new CacheError('mount-busy', `mountpoint ${this.mountpoint} was mounted on by another user: ${advice}`)
  }

  protected abstract make(source: string, allowOther: boolean): Promise<number>
  /** The visible mount, whosever it is. */
  protected abstract remove(force: boolean): Promise<void>
}

class RootMounter extends AnyMounter {
  protected async make(source: string, allowOther: boolean): Promise<number> {
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

  protected async remove(force: boolean): Promise<void> {
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
  protected async make(source: string, allowOther: boolean): Promise<number> {
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

  protected async remove(force: boolean): Promise<void> {
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
