/**
 * A complete image on a mount beside the raw file on the same disk, in alternating rounds.
 *
 *   node build/bench/passthrough.js [--rounds 5] [--seconds 1]
 *
 * Needs root, fio, Linux 6.9 and dist/. Both files are read with O_DIRECT, which goes to the disk, and through the page cache, which is
 * warm then; printed are the median of each, and of the ratio within a round, with least and most.
 */
import { randomFillSync } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { parentfs } from './demo/command.ts'
import { runFio } from './fio.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '1' } },
})
const sizeBytes = 256 * 2 ** 20
const jobs = ['warm-4k-qd1', 'warm-4k-qd32', 'warm-1m-qd4', 'warm-4k-buffered', 'warm-1m-buffered']

const home = mkdtempSync(join(tmpdir(), 'parentfs-passthrough-'))
const [origin, mountpoint] = [join(home, 'origin'), join(home, 'mnt')]
for (const directory of [origin, mountpoint]) mkdirSync(directory)
const [raw, passed] = [join(home, 'raw'), join(mountpoint, 'a.raw')]
writeRandom(join(origin, 'a.raw'))
copyFileSync(join(origin, 'a.raw'), raw)
await parentfs('mount', `file://${origin}`, mountpoint, '--cache-dir', join(home, 'cache'), '--background')
try {
  await parentfs('promote', passed)
  const handle = await openPassed()
  for (const job of jobs) await compare(job)
  handle()
} finally {
  await parentfs('unmount', '--force', mountpoint)
  rmSync(home, { recursive: true, force: true })
}

async function compare(job: string): Promise<void> {
  // fio would drop the raw file's pages first, and those of the data file not.
  const jobFile = join(home, `${job}.fio`)
  writeFileSync(jobFile, `${readFileSync(join('bench', 'jobs', `${job}.fio`), 'utf8')}\ninvalidate=0\n`)
  if (job.endsWith('buffered')) for (const file of [passed, raw]) readFileSync(file)
  const rounds: { passed: number; raw: number }[] = []
  for (let round = -1; round < Number(values.rounds); round++) {
    const order = round % 2 === 0 ? [passed, raw] : [raw, passed]
    const iops = new Map<string, number>()
    for (const file of order) {
      const result = await runFio(jobFile, file, Number(values.seconds))
      iops.set(file, result.iops)
    }
    if (round >= 0) rounds.push({ passed: iops.get(passed)!, raw: iops.get(raw)! })
  }
  const ratios = rounds.map(each => each.passed / each.raw)
  const [a, b] = [rounds.map(each => each.passed), rounds.map(each => each.raw)]
  console.log(`| ${job} | ${middle(a).toFixed(0)} | ${middle(b).toFixed(0)} | ${spread(ratios)} |`)
}

/** @returns how to close it again */
async function openPassed(): Promise<() => void> {
  const { closeSync } = await import('node:fs')
  for (let tries = 0; tries < 60; tries++) {
    const fd = openSync(passed, 'r')
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
