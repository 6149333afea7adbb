/**
 * The target of a command: the daemon of a mount, and an image in it.
 *
 * The mount may be left out where only one is mounted. An image is a name, as "parentfs images" shows it, or the path
 * of a file in a mount, which tells the mount as well.
 */
import { existsSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fetchStatus } from '../../admin/admin-client.ts'
import { socketPath, socketPaths, trustedRuntimeDirectory } from '../../admin/socket-path.ts'
import type { Status } from '../../admin/status.ts'
import { troubleOf } from '../../admin/supervisor-presence.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError } from '../../base/errors.ts'
import { fileSystemType, mountAt, readMountTable } from '../../daemon/mount/mount-table.ts'
import { resolveMountpoint } from '../../daemon/mount/mountpoint.ts'

export interface Mount {
  readonly mountpoint: string
  /** Path of its admin socket; there may be a listener. */
  readonly socket: string
}

export interface ImageTarget extends Mount {
  readonly name: string
}

/**
 * @param path null: the only one there is
 * @param saying how the command is told which one is meant
 * @throws CacheError invalid-argument when there is no such path, not-found when nothing is mounted, or more than one
 */
export async function findMount(path: string | null, saying = 'give one of them as MOUNTPOINT'): Promise<Mount> {
  if (path !== null) return mountOf(await resolveMountpoint(path))
  const statuses = await answeringStatuses(trustedRuntimeDirectory(), null)
  const mountpoints = statuses.map(({ mountpoint }) => mountpoint)
  if (mountpoints.length === 1) return mountOf(mountpoints[0]!)
  if (mountpoints.length === 0) {
    throw new CacheError('not-found', 'nothing of yours is mounted: "parentfs mount ORIGIN MOUNTPOINT" does')
  }
  const list = mountpoints.join(', ')
  throw new CacheError('not-found', `there are ${mountpoints.length} mounts (${list}): ${saying}`)
}

/**
 * @param image its name, or the path of its file
 * @param mountpoint null: as the path says, or the only one there is
 * @throws CacheError invalid-argument, not-found
 */
export async function findImage(image: string, mountpoint: string | null): Promise<ImageTarget> {
  if (mountpoint === null && image.includes('/')) {
    const found = await findPath(image)
    if (found) return found
    if (await mountNamed(image)) {
      throw new CacheError('invalid-argument', `${image} is a whole mount: name an image in it, like ${image}/NAME`)
    }
    if (/^\.{0,2}\//.test(image)) {
      const advice = '"parentfs status" lists the mounts, "parentfs images" the names in one'
      throw new CacheError('not-found', `${image} is not in a parentfs mount: ${advice}`)
    }
  }
  const mount = await findMount(mountpoint, 'say which one with -m DIR, or give the path of the file')
  // A path says the mount once more: it must be the same.
  const found = image.startsWith('/') ? await findPath(image) : null
  if (found && found.mountpoint !== mount.mountpoint) {
    throw new CacheError('invalid-argument', `${image} is in the mount ${found.mountpoint}, not in ${mount.mountpoint}`)
  }
  return found ?? { ...mount, name: image }
}

/** The mountpoint that a path names, without its links; null: it is none. Nothing in the mount is touched. */
export async function mountNamed(path: string): Promise<string | null> {
  if (!path.includes('/')) return null
  const absolute = resolve(path)
  const directory = dirname(absolute)
  const linked = existsSync(directory) ? join(await realpath(directory), basename(absolute)) : absolute
  const mounts = (await readMountTable()).filter(({ type }) => type === fileSystemType)
  return mounts.find(({ mountpoint }) => mountpoint === absolute || mountpoint === linked)?.mountpoint ?? null
}

/**
 * The statuses of the daemons whose sockets lie there, by mountpoint. All are asked at once; those that do not answer
 * us are left out.
 * @param msMax how long each is waited for; null: as long as a question may take
 */
export async function answeringStatuses(directory: string, msMax: number | null): Promise<Status[]> {
  const late = () => new CacheError('closed', `no answer in ${msMax} ms`)
  const ask = (path: string) => (msMax === null ? fetchStatus(path) : withTimeout(msMax, fetchStatus(path), late))
  const answers = await Promise.allSettled(socketPaths(directory).map(ask))
  return answers
    .flatMap(answer => (answer.status === 'fulfilled' && answer.value ? [answer.value] : []))
    .sort((a, b) => (a.mountpoint < b.mountpoint ? -1 : 1))
}

/** @returns the error of a mountpoint that nobody answers for: no mount, one between two workers, or a dead one */
export async function noDaemon(mountpoint: string): Promise<CacheError> {
  const trouble = troubleOf(mountOf(mountpoint).socket)
  if (trouble !== null) {
    const advice = 'readers wait while another is tried again and again; its log says more'
    return new CacheError('closed', `${mountpoint} has no worker (${trouble}): ${advice}`)
  }
  if ((await mountAt(mountpoint))?.type !== fileSystemType) {
    return new CacheError('not-found', `${mountpoint} is not a parentfs mount: "parentfs status" lists the mounts`)
  }
  const advice = `it died, or another user mounted it: "parentfs unmount ${mountpoint}" removes what a dead one left`
  return new CacheError('closed', `${mountpoint} is a parentfs mount whose daemon does not answer: ${advice}`)
}

function mountOf(mountpoint: string): Mount {
  return { mountpoint, socket: socketPath(mountpoint, trustedRuntimeDirectory()) }
}

/** The mount that a path leads into, and the rest of it. Nothing in the mount is touched: it may hang. */
export async function findPath(path: string): Promise<ImageTarget | null> {
  const table = await readMountTable()
  const mountpoints = table.filter(({ type }) => type === fileSystemType).map(({ mountpoint }) => mountpoint)
  const inMount = (absolute: string) => {
    const inside = mountpoints.filter(mountpoint => absolute.startsWith(`${mountpoint}/`))
    const mountpoint = inside.sort((a, b) => b.length - a.length)[0]
    return mountpoint === undefined ? null : { ...mountOf(mountpoint), name: relative(mountpoint, absolute) }
  }
  const absolute = resolve(path)
  const found = inMount(absolute)
  if (found) return found
  // Links on the way there.
  const directory = dirname(absolute)
  if (!existsSync(directory)) return null
  return inMount(join(await realpath(directory), basename(absolute)))
}
