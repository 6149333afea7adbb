/**
 * Checks of the cache disk for `parentfs doctor`: its file system, room, alignment of O_DIRECT, and speed. dd(1) does
 * the reads and writes, in a process that can be killed when the disk hangs.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { size } from '../output/tables.ts'
import { bad, type Finding, fine, note } from './finding.ts'
import { diskProbeBytes, diskProbeMsMax, smallReadMsMax } from './limits.ts'
import { runProgram } from './run-program.ts'

/** File systems that are no local disk. Source: statfs(2), f_type. */
const unsuitable: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0x65735546, 'FUSE'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlayfs'],
])

/** @param directory of the cache; it need not be there yet */
export async function checkDisk(directory: string): Promise<Finding[]> {
  const place = existing(resolve(directory))
  const late = () => new CacheError('store-failed', `no answer in ${diskProbeMsMax / 1000} s`)
  let facts: { readonly type: number; readonly bavail: number; readonly bsize: number }
  try {
    facts = await withTimeout(diskProbeMsMax, statfs(place), late)
    if (!(await withTimeout(diskProbeMsMax, stat(place), late)).isDirectory()) throw new Error('it is not a directory')
  } catch (error) {
    return [bad('cache disk', `${place}: ${messageOf(error)}`, 'choose another directory with --cache-dir')]
  }
  const freeBytes = facts.bavail * facts.bsize
  const kind = unsuitable.get(facts.type)
  const room = `${place}, ${size(freeBytes)} free`
  const where = kind
    ? note('cache disk', `${room}, on ${kind}`, 'put the cache on a local disk: ext4 or XFS on an SSD')
    : fine('cache disk', room)
  if (freeBytes < 4 * diskProbeBytes) return [where, bad('room', size(freeBytes), 'free space, or choose another disk')]
  return [where, ...(await measured(place))]
}

async function measured(place: string): Promise<Finding[]> {
  let scratch: string
  try {
    scratch = await mkdtemp(join(place, '.parentfs-doctor-'))
  } catch (error) {
    const remedy = 'run it as the user who mounts, or choose another directory with --cache-dir'
    return [note('disk speed', `not measured: ${messageOf(error)}`, remedy)]
  }
  try {
    const file = join(scratch, 'probe')
    const count = diskProbeBytes / 1024 ** 2
    const write = await dd('if=/dev/zero', `of=${file}`, 'bs=1M', `count=${count}`, 'oflag=direct', 'conv=fsync')
    if (write.code !== 0) {
      const remedy = 'choose a file system with O_DIRECT (ext4, XFS): elsewhere bytes pass through the page cache twice'
      return [note('alignment', `O_DIRECT writes are refused: ${reasonOf(write.stderr)}`, remedy)]
    }
    const small = await dd(`if=${file}`, 'of=/dev/null', 'bs=512', 'count=8', 'iflag=direct')
    const read = await dd(`if=${file}`, 'of=/dev/null', 'bs=1M', 'iflag=direct')
    const reads = 256
    const page = await dd(`if=${file}`, 'of=/dev/null', 'bs=4k', `count=${reads}`, 'iflag=direct')
    const eachMs = secondsOf(page.stderr) * (1000 / reads)
    const speed = `writes ${rate(write.stderr)}, reads ${rate(read.stderr)}, ${eachMs.toFixed(2)} ms for 4 KiB`
    return [
      fine('alignment', small.code === 0 ? 'O_DIRECT by 512 bytes' : 'O_DIRECT by 4096 bytes'),
      eachMs <= smallReadMsMax
        ? fine('disk speed', speed)
        : note('disk speed', speed, 'use an SSD: a hit takes as long as a read of this disk'),
    ]
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

function dd(...args: readonly string[]) {
  return runProgram('dd', args, diskProbeMsMax)
}

/** Of dd's last line: `... copied, 0.123 s, 545 MB/s`. */
function secondsOf(text: string): number {
  return Number(/copied, ([\d.e-]+) s/.exec(text)?.[1] ?? Number.NaN)
}

function rate(text: string): string {
  return `${size(Math.round(diskProbeBytes / secondsOf(text)))}/s`
}

function reasonOf(text: string): string {
  return text.trim().split('\n')[0]?.replace(/^dd: /, '') ?? ''
}

/** The directory, or the nearest one above that is there. */
function existing(path: string): string {
  return existsSync(path) || path === dirname(path) ? path : existing(dirname(path))
}
