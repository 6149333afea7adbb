/**
 * A complete image on mounts with every kind of passthrough beside the raw file on the same disk, in alternating rounds.
 *
 *   node build/bench/passthrough.js [--rounds 5] [--seconds 1]
 *
 * Needs root, fio, Linux 6.9 and dist/. O_DIRECT of the raw file goes to the disk, and so does passthrough `always`; the
 * page cache is warm for all others. Printed are the median of each, and of the ratios to the default within a round,
 * with least and most.
 */
import { execFile } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { parentfs } from './demo/command.ts'
import { runFio } from './fio.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '1' } },
})
const sizeBytes = 256 * 2 ** 20
const jobs = ['warm-4k-qd1', 'warm-4k-qd32', 'warm-4k-4jobs', 'warm-1m-qd4', 'warm-4k-buffered', 'warm-1m-buffered']
/** The first is the default, which is compared with the others. */
const modes = ['auto', 'always', 'never'] as const

const home = mkdtempSync(join(tmpdir(), 'parentfs-passthrough-'))
const origin = join(home, 'origin')
mkdirSync(origin)
const raw = join(home, 'raw')
writeRandom(join(origin, 'a.raw'))
copyFileSync(join(origin, 'a.raw'), raw)
const mountpoints = modes.map(mode => join(home, mode))
const endings: (() => unknown)[] = []
try {
  for (const [index, mode] of modes.entries()) {
    const mountpoint = mountpoints[index]!
    mkdirSync(mountpoint)
    const cache = ['--cache-dir', join(home, `${mode}-cache`)]
    await parentfs('mount', `file://${origin}`, mountpoint, ...cache, '--passthrough', mode, '--background')
    endings.push(() => parentfs('unmount', '--force', mountpoint))
    await parentfs('promote', join(mountpoint, 'a.raw'))
    if (mode !== 'never') endings.push(await openPassed(mountpoint))
  }
  const others = [...modes.slice(1), 'raw file']
  console.log(`| job | ${[...modes, 'raw file'].join(' | ')} | ${others.map(name => `to ${name}`).join(' | ')} |`)
  for (const job of jobs) await compare(job)
} finally {
  for (const end of endings.reverse()) await end()
  rmSync(home, { recursive: true, force: true })
}

async function compare(job: string): Promise<void> {
  // fio would drop the raw file's pages first, and those of the data files not.
  const jobFile = join(home, `${job}.fio`)
  writeFileSync(jobFile, `${readFileSync(join('bench', 'jobs', `${job}.fio`), 'utf8')}\ninvalidate=0\n`)
  const files = [...mountpoints.map(mountpoint => join(mountpoint, 'a.raw')), raw]
  const flags = job.endsWith('buffered') ? [] : ['iflag=direct']
  for (const file of files) {
    await promisify(execFile)('dd', [`if=${file}`, 'of=/dev/null', 'bs=1M', 'status=none', ...flags])
  }
  const rounds: number[][] = []
  for (let round = -1; round < Number(values.rounds); round++) {
    const iops = files.map(() => 0)
    const order = round % 2 === 0 ? files : files.toReversed()
    for (const file of order) iops[files.indexOf(file)] = (await runFio(jobFile, file, Number(values.seconds))).iops
    if (round >= 0) rounds.push(iops)
  }
  const medians = files.map((_, index) => middle(rounds.map(each => each[index]!)).toFixed(0))
  const ratios = files.slice(1).map((_, index) => spread(rounds.map(each => each[0]! / each[index + 1]!)))
  console.log(`| ${[job, ...medians, ...ratios].join(' | ')} |`)
}

/** @returns how to close it again */
async function openPassed(mountpoint: string): Promise<() => void> {
  for (let tries = 0; tries < 60; tries++) {
    const fd = openSync(join(mountpoint, 'a.raw'), 'r')
    const { passthrough } = JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
    if (passthrough.openNow > 0) return () => closeSync(fd)
    closeSync(fd)
    await pause(500)
  }
  throw new Error('the image is not read by passthrough')
}

function writeRandom(path: string): void {
  writeFileSync(path, '')
  const fd = openSync(path, 'w')
  const piece = Buffer.alloc(2 ** 20)
  for (let at = 0; at < sizeBytes; at += piece.length) writeSync(fd, randomFillSync(piece))
}

function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}

function spread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b)
  return `${middle(values).toFixed(2)} (${sorted[0]!.toFixed(2)} to ${sorted.at(-1)!.toFixed(2)})`
}
