/**
 * Checks of the host for `parentfs doctor`: kernel, FUSE, mount propagation, limits, clock, AppArmor and Node.js.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { delimiter, join } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import { isWithin } from '../../base/is-within.ts'
import { parseMountTable } from '../../daemon/mount/mount-table.ts'
import { indexLockedBytesMax } from '../../index/guard/limits.ts'
import { loadAddon } from '../../native/addon.ts'
import { bad, type Finding, fine, note } from './finding.ts'
import { openFilesMin } from './limits.ts'

/** The files that the checks read; a fake in tests. */
export interface HostFacts {
  readonly kernel: string
  readonly node: string
  readonly uid: number
  /** The text of a file; null: it cannot be read. */
  read(path: string): string | null
  exists(path: string): boolean
  /** Can it be opened for reading and writing? */
  isUsable(path: string): boolean
  hasProgram(name: string): boolean
  /** Why the addon cannot be loaded; null: it can. */
  whyNoAddon(): string | null
}

/** Kernels that repeat unanswered requests to another worker. Source: Linux 6.9, FUSE_NOTIFY_RESEND. */
const takeoverKernel = [6, 9] as const
/** Kernels older than this are not tested. */
const oldestKernel = [5, 10] as const

/** @param mountpoint null: where the images are to be mounted is not known */
export function checkHost(mountpoint: string | null, facts = hostFacts): Finding[] {
  return [
    kernelOf(facts),
    fuseOf(facts),
    rightsOf(facts),
    propagationOf(facts, mountpoint ?? '/'),
    openFilesOf(facts),
    lockedMemoryOf(facts),
    clockOf(facts),
    appArmorOf(facts),
    nodeOf(facts),
  ]
}

function kernelOf({ kernel }: HostFacts): Finding {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number)
  const isBefore = ([a, b]: readonly [number, number]) => major < a || (major === a && minor < b)
  if (isBefore(oldestKernel)) return bad('kernel', `Linux ${kernel}`, 'use Linux 5.10 or newer')
  if (isBefore(takeoverKernel)) {
    const what = `Linux ${kernel}: no other worker can take over a mount in use`
    return note('kernel', what, 'use Linux 6.9 or newer for upgrades under guests')
  }
  return fine('kernel', `Linux ${kernel}`)
}

function fuseOf({ exists, isUsable }: HostFacts): Finding {
  if (!exists('/dev/fuse')) {
    const remedy = 'load it with "modprobe fuse"; in a container, give it with --device /dev/fuse'
    return bad('FUSE', '/dev/fuse is missing', remedy)
  }
  if (isUsable('/dev/fuse')) return fine('FUSE', '/dev/fuse can be opened')
  return bad(
    'FUSE',
    '/dev/fuse cannot be opened',
    'allow it: chmod 666 /dev/fuse, or DeviceAllow=/dev/fuse rw in a unit',
  )
}

function rightsOf({ uid, read, hasProgram }: HostFacts): Finding {
  if (uid === 0) return fine('rights', 'root: mounts by itself, for every user')
  if (!hasProgram('fusermount3'))
    return bad('rights', 'not root, and fusermount3 is missing', 'apt-get install fuse3, or mount as root')
  if (/^\s*user_allow_other\b/m.test(read('/etc/fuse.conf') ?? '')) return fine('rights', 'by fusermount3')
  const what = 'by fusermount3: hypervisors of other users cannot read the mount'
  return note('rights', what, 'write user_allow_other in /etc/fuse.conf, or mount as root')
}

/**
 * Containers, and services with mounts of their own, see a mount that is made later only below a shared one.
 * Source: mount_namespaces(7).
 */
function propagationOf({ read }: HostFacts, mountpoint: string): Finding {
  const table = parseMountTable(read('/proc/self/mountinfo') ?? '')
  const above = table.filter(entry => isWithin(mountpoint, entry.mountpoint))
  // Of several on one directory, the last is the visible one.
  const [holder] = above.reverse().sort((a, b) => b.mountpoint.length - a.mountpoint.length)
  if (!holder) return note('propagation', 'not known: no mounts in /proc/self/mountinfo', 'mount /proc')
  const where = holder.mountpoint
  if (holder.isShared) return fine('propagation', `mounts below ${where} are shared`)
  const what = `mounts below ${where} are private: what runs in other containers, or outside of this one, sees none`
  return note('propagation', what, `mount --make-rshared ${where}, or give the directory to a container with rshared`)
}

/** The soft limit; null: none, or unknown. */
function limitOf({ read }: HostFacts, name: string): number | null {
  const line = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(read('/proc/self/limits') ?? '')?.[1]
  return line === undefined || line === 'unlimited' ? null : Number(line)
}

function openFilesOf(facts: HostFacts): Finding {
  const files = limitOf(facts, 'Max open files')
  if (files === null || files >= openFilesMin) return fine('open files', `${files ?? 'unlimited'}`)
  const remedy = `ulimit -n 524288, or LimitNOFILE=524288 in the unit: each image and connection takes one`
  return note('open files', `${files}, fewer than ${openFilesMin}`, remedy)
}

function lockedMemoryOf(facts: HostFacts): Finding {
  const bytes = limitOf(facts, 'Max locked memory')
  if (facts.uid === 0 || bytes === null || bytes >= indexLockedBytesMax)
    return fine('locked memory', bytes === null ? 'unlimited' : `${bytes} bytes`)
  const remedy = `ulimit -l ${indexLockedBytesMax / 1024}, or LimitMEMLOCK=264M in the unit`
  const what = `${bytes} bytes: the index is not locked in memory, and a disk error can end the worker`
  return note('locked memory', what, remedy)
}

/** A clock before the program was built is wrong; certificates and signatures are refused then. */
function clockOf({ exists }: HostFacts): Finding {
  const now = new Date()
  const shown = now.toISOString().slice(0, 19)
  if (now.getUTCFullYear() < 2026) return bad('clock', `${shown} UTC`, 'set it: TLS and signed requests depend on it')
  const isSynchronised = exists('/run/systemd/timesync/synchronized') || exists('/run/chrony') || exists('/var/lib/ntp')
  if (isSynchronised) return fine('clock', `${shown} UTC, kept by a time service`)
  return note(
    'clock',
    `${shown} UTC, no time service was found`,
    'start systemd-timesyncd or chrony: S3 allows 15 minutes',
  )
}

function appArmorOf({ read, exists }: HostFacts): Finding {
  if (read('/sys/module/apparmor/parameters/enabled')?.trim() !== 'Y') return fine('AppArmor', 'not enabled')
  const own = read('/proc/self/attr/current')?.trim() ?? 'unconfined'
  if (!own.startsWith('unconfined')) {
    const remedy = 'allow mount, /dev/fuse and the cache directory in that profile'
    return note('AppArmor', `this process is confined by ${own}`, remedy)
  }
  if (!exists('/etc/apparmor.d/abstractions/libvirt-qemu')) return fine('AppArmor', 'enabled; no profile of libvirt')
  const local = read('/etc/apparmor.d/local/abstractions/libvirt-qemu') ?? ''
  if (/\/\*\* r/.test(local)) return fine('AppArmor', 'enabled; libvirt has rules of its own here')
  const remedy = 'write "MOUNTPOINT/** r," in /etc/apparmor.d/local/abstractions/libvirt-qemu where guests are refused'
  return note('AppArmor', "enabled: libvirt's guests read what their disks name, backing files included", remedy)
}

function nodeOf({ node, whyNoAddon }: HostFacts): Finding {
  const [major = 0, minor = 0] = node.replace('v', '').split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 18))
    return bad('Node.js', node, 'use Node.js 20.18.1 or newer, or the Debian package, which brings its own')
  const why = whyNoAddon()
  if (why === null) return fine('Node.js', `${node}, the addon loads`)
  return bad(
    'Node.js',
    `${node}, and the addon does not load: ${why}`,
    'run "make build", or install the package again',
  )
}

const hostFacts: HostFacts = {
  kernel: release(),
  node: process.version,
  uid: process.getuid?.() ?? 0,
  read: path => {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return null
    }
  },
  exists: existsSync,
  isUsable: path => {
    try {
      accessSync(path, constants.R_OK | constants.W_OK)
      return true
    } catch {
      return false
    }
  },
  hasProgram: name => (process.env.PATH ?? '').split(delimiter).some(directory => existsSync(join(directory, name))),
  whyNoAddon: () => {
    try {
      loadAddon()
      return null
    } catch (error) {
      return messageOf(error)
    }
  },
}
