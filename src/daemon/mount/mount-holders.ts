/**
 * Finds the holders of a busy mount: processes with an open file, a working directory, a root, an executable or a
 * mapping there, loop devices backed by one of its files, and mounts below it.
 *
 * Only links under /proc and /sys are read, never a file of the mount itself: the mount may be the one that hangs.
 */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { readMountTable } from './mount-table.ts'

export interface Holder {
  /** Null for what is not a process: a loop device, another mount. */
  readonly pid: number | null
  /** The command line, or what it is; at most {@link commandCharactersMax} characters. */
  readonly command: string
}

const commandCharactersMax = 80

/**
 * All users of `mountpoint`. Processes that may not be looked at (of other users, unless root asks) are left out, and
 * so are those that went away meanwhile.
 */
export async function findHolders(mountpoint: string): Promise<Holder[]> {
  const isInside = (path: string) => path === mountpoint || path.startsWith(`${mountpoint}/`)
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const processes = await Promise.all(pids.map(async pid => ((await holds(pid, isInside)) ? describe(pid) : null)))
  const rest = await Promise.all([loopDevices(isInside), mountsBelow(mountpoint)])
  return [...processes.filter(holder => holder !== null), ...rest.flat()]
}

/** `1234 (qemu-system-x86_64 -m 4096)`, several separated by commas. */
export function formatHolders(holders: readonly Holder[]): string {
  if (holders.length === 0) return 'somebody that cannot be seen from here'
  return holders.map(({ pid, command }) => (pid === null ? command : `${pid} (${command})`)).join(', ')
}

async function holds(pid: string, isInside: (path: string) => boolean): Promise<boolean> {
  const fds = await orElse(readdir(`/proc/${pid}/fd`), [])
  const links = ['cwd', 'root', 'exe', ...fds.map(fd => `fd/${fd}`)]
  for (const link of links) {
    if (isInside(await orElse(readlink(`/proc/${pid}/${link}`), ''))) return true
  }
  // `address perms offset device inode path`: the path is what follows the fifth field.
  const maps = await orElse(readFile(`/proc/${pid}/maps`, 'utf8'), '')
  return maps.split('\n').some(line => isInside(line.replace(/^(\S+\s+){5}/, '')))
}

async function describe(pid: string): Promise<Holder> {
  const [commandLine, name] = await Promise.all([
    orElse(readFile(`/proc/${pid}/cmdline`, 'utf8'), ''),
    orElse(readFile(`/proc/${pid}/comm`, 'utf8'), '?'),
  ])
  const command = commandLine.replaceAll('\0', ' ').trim() || name.trim()
  return { pid: Number(pid), command: command.slice(0, commandCharactersMax) }
}

async function loopDevices(isInside: (path: string) => boolean): Promise<Holder[]> {
  const found: Holder[] = []
  for (const device of await orElse(readdir('/sys/block'), [])) {
    const file = (await orElse(readFile(`/sys/block/${device}/loop/backing_file`, 'utf8'), '')).trimEnd()
    if (isInside(file)) found.push({ pid: null, command: `/dev/${device} of ${file}` })
  }
  return found
}

async function mountsBelow(mountpoint: string): Promise<Holder[]> {
  const table = await readMountTable()
  return table
    .filter(entry => entry.mountpoint.startsWith(`${mountpoint}/`))
    .map(entry => ({ pid: null, command: `the mount on ${entry.mountpoint}` }))
}

async function orElse<T>(promise: Promise<T>, fallback: T): Promise<T> {
  try {
    return await promise
  } catch {
    return fallback
  }
}
