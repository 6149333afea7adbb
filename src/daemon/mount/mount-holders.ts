/**
 * Finds the holders of a busy mount: processes with an open file, a working directory, a root, an executable or a
 * mapping there, loop devices backed by one of its files, and mounts below it.
 *
 * Processes of other mount namespaces may hold it through a copy of the mount, which the kernel does not count when the
 * mount is taken away here: their files die with the file system. A copy that nobody uses holds nothing.
 *
 * Only files under /proc and /sys are read, never one of the mount itself: the mount may be the one that hangs.
 */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { isWithin } from '../../base/is-within.ts'
import { type MountEntry, parseMountTable, readMountTable } from './mount-table.ts'

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
 * @param device of the mount, so that users in other namespaces are found; null: they are not looked for
 */
export async function findHolders(mountpoint: string, device: string | null = null): Promise<Holder[]> {
  const found = await Promise.all([
    processesThat(pid => holds(pid, [mountpoint])),
    loopDevices(mountpoint),
    mountsBelow(mountpoint),
    device === null ? [] : findNamespaceHolders(device),
  ])
  const pids = new Set(found[0].map(({ pid }) => pid))
  return [...found[0], ...found[1], ...found[2], ...found[3].filter(({ pid }) => !pids.has(pid))]
}

/**
 * The users of a mount in other mount namespaces than this process's.
 * @param device `major:minor`, as in the mount table
 */
export async function findNamespaceHolders(device: string): Promise<Holder[]> {
  const own = await orElse(readlink('/proc/self/ns/mnt'), '')
  return await processesThat(async pid => {
    const namespace = await orElse(readlink(`/proc/${pid}/ns/mnt`), own)
    if (namespace === own) return false
    const table = parseMountTable(await orElse(readFile(`/proc/${pid}/mountinfo`, 'utf8'), ''))
    const copies = table.filter(entry => entry.device === device)
    return copies.length > 0 && (await usesOneOf(pid, copies))
  })
}

/** `1234 (qemu-system-x86_64 -m 4096)`, several separated by commas. */
export function formatHolders(holders: readonly Holder[]): string {
  if (holders.length === 0) return 'somebody that cannot be seen from here'
  return holders.map(({ pid, command }) => (pid === null ? command : `${pid} (${command})`)).join(', ')
}

async function processesThat(hold: (pid: string) => Promise<boolean>): Promise<Holder[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(pids.map(async pid => ((await hold(pid)) ? describe(pid) : null)))
  return found.filter(holder => holder !== null)
}

/** Source: Documentation/filesystems/proc.rst, 3.8: fdinfo has the id of the mount that a file was opened on. */
async function usesOneOf(pid: string, copies: readonly MountEntry[]): Promise<boolean> {
  const ids = new Set(copies.map(({ id }) => id))
  for (const fd of await orElse(readdir(`/proc/${pid}/fdinfo`), [])) {
    const text = await orElse(readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8'), '')
    if (ids.has(Number(/^mnt_id:\s*(\d+)$/m.exec(text)?.[1]))) return true
  }
  return await holds(
    pid,
    copies.map(({ mountpoint }) => mountpoint),
  )
}

async function holds(pid: string, mountpoints: readonly string[]): Promise<boolean> {
  const isOneOfTheirs = (path: string) => mountpoints.some(mountpoint => isWithin(path, mountpoint))
  const fds = await orElse(readdir(`/proc/${pid}/fd`), [])
  const links = ['cwd', 'root', 'exe', ...fds.map(fd => `fd/${fd}`)]
  for (const link of links) {
    if (isOneOfTheirs(await orElse(readlink(`/proc/${pid}/${link}`), ''))) return true
  }
  // `address perms offset device inode path`: the path is what follows the fifth field.
  const maps = await orElse(readFile(`/proc/${pid}/maps`, 'utf8'), '')
  return maps.split('\n').some(line => isOneOfTheirs(line.replace(/^(\S+\s+){5}/, '')))
}

async function describe(pid: string): Promise<Holder> {
  const [commandLine, name] = await Promise.all([
    orElse(readFile(`/proc/${pid}/cmdline`, 'utf8'), ''),
    orElse(readFile(`/proc/${pid}/comm`, 'utf8'), '?'),
  ])
  const command = commandLine.replaceAll('\0', ' ').trim() || name.trim()
  return { pid: Number(pid), command: command.slice(0, commandCharactersMax) }
}

async function loopDevices(mountpoint: string): Promise<Holder[]> {
  const found: Holder[] = []
  for (const device of await orElse(readdir('/sys/block'), [])) {
    const file = (await orElse(readFile(`/sys/block/${device}/loop/backing_file`, 'utf8'), '')).trimEnd()
    if (isWithin(file, mountpoint)) found.push({ pid: null, command: `/dev/${device} of ${file}` })
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
