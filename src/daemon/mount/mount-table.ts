/**
 * The mounts of this process's namespace, from /proc/self/mountinfo. Reading it never waits for any file system, which
 * `stat` on a mount with a dead or hung worker may.
 */
import { readFile } from 'node:fs/promises'

/** The type under which our mounts appear. */
export const fileSystemType = 'fuse.parentfs'

export interface MountEntry {
  /** As in /proc/<pid>/fdinfo/<fd> of a process that has one of its files open. */
  readonly id: number
  /** `major:minor`, as in /proc/<pid>/maps of a process that maps one of its files (there with two hex digits each). */
  readonly device: string
  readonly mountpoint: string
  readonly type: string
  /** The source that was mounted: for ours, the origin's URL. */
  readonly source: string
  /** Mounts below it show in the other namespaces that have it. */
  readonly isShared: boolean
}

/** Every mount, in the order of mounting: of several on one directory, the last is the visible one. */
export async function readMountTable(): Promise<MountEntry[]> {
  return parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'))
}

/** The mounts on exactly this directory, each on top of the one before. */
export async function mountsAt(mountpoint: string): Promise<MountEntry[]> {
  return (await readMountTable()).filter(entry => entry.mountpoint === mountpoint)
}

/** The visible one of them, or null. */
export async function mountAt(mountpoint: string): Promise<MountEntry | null> {
  return (await mountsAt(mountpoint)).at(-1) ?? null
}

/**
 * Lines like `36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw`: any number of fields before the lone dash.
 * Source: Documentation/filesystems/proc.rst, 3.5.
 */
export function parseMountTable(text: string): MountEntry[] {
  const entries: MountEntry[] = []
  for (const line of text.split('\n')) {
    const [left, right] = line.split(' - ')
    const [id, , device, , mountpoint, , ...optional] = left?.split(' ') ?? []
    const [type, source] = right?.split(' ') ?? []
    if (!device || !mountpoint || !type || source === undefined) continue
    const isShared = optional.some(field => field.startsWith('shared:'))
    entries.push({ id: Number(id), device, mountpoint: plain(mountpoint), type, source: plain(source), isShared })
  }
  return entries
}

/** Space, tab, newline and backslash are written as three octal digits, byte by byte. */
function plain(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}
