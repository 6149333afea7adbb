/**
 * The hit engine against a server that only preads and writes, in alternating rounds on one machine.
 *
 *   node build/bench/hit-engine.js [--rounds 5] [--seconds 2]
 *
 * Needs root, fio and build/comparison-server of native-bindings/. A round runs every job on every server, so that what else the
 * machine does meets them alike; a ratio is taken within a round, against the best of the comparison's thread counts.
 */
import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { sessionThreads } from '../src/limits.ts'
import { loadAddon } from '../src/native/addon.ts'
import { type FioResult, runFio } from './fio.ts'

const jobs = ['warm-4k-qd1', 'warm-4k-qd32', 'warm-4k-4jobs', 'warm-1m-qd4']
const comparisonThreads = [2, 4, 16]
const imageBytes = 512 * 2 ** 20

interface Server {
  readonly name: string
  readonly mountpoint: string
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '2' } },
})
const directory = await mkdtemp(join(tmpdir(), 'parentfs-bench-'))
const mounted: string[] = []
try {
  await main(Number(values.rounds), Number(values.seconds))
} finally {
  for (const mountpoint of mounted) loadAddon().unmount(mountpoint, true)
  await rm(directory, { recursive: true })
}

async function main(rounds: number, seconds: number): Promise<void> {
  const image = join(directory, 'data')
  await makeImage(image)
  const engine = 'build/bench/hit-engine-server.js'
  const ours = await start('parentfs', [process.execPath, engine, image], sessionThreads)
  const others: Server[] = []
  for (const threads of comparisonThreads) {
    others.push(await start(`comparison-${threads}`, ['native-bindings/build/comparison-server', image], threads))
  }
  console.log(`${availableParallelism()} processors, ${rounds} rounds of ${seconds} s`)
  for (const job of jobs) await compare(job, ours, others, rounds, seconds)
}

/** Run one job in alternating rounds and print its line. */
async function compare(job: string, ours: Server, others: readonly Server[], rounds: number, seconds: number) {
  const results = new Map<Server, FioResult[]>([ours, ...others].map(server => [server, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [server, list] of results) {
      list.push(await runFio(`bench/jobs/${job}.fio`, join(server.mountpoint, 'image'), seconds))
    }
  }
  const best = others.reduce((a, b) => (medianIops(results.get(a)!) >= medianIops(results.get(b)!) ? a : b))
  const ratios = results.get(ours)!.map((result, round) => result.iops / results.get(best)![round]!.iops)
  const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`
  console.log(`${job}: ${median(ratios).toFixed(2)} of ${best.name} (${spread})`)
  for (const [{ name }, list] of results) {
    const p50 = median(list.map(each => each.p50Us)).toFixed(1)
    console.log(`  ${name.padEnd(14)} ${Math.round(medianIops(list))} IOPS, p50 ${p50} us`)
  }
}

/** Start a server and wait until it says that it is ready. */
async function start(name: string, [file, ...args]: readonly string[], threads: number): Promise<Server> {
  const mountpoint = join(directory, name)
  await mkdir(mountpoint)
  const child = spawn(file!, [...args, mountpoint, String(threads)], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'ready') break
  }
  if (child.exitCode !== null) throw new Error(`${name} did not start`)
  mounted.push(mountpoint)
  return { name, mountpoint }
}

/** Bytes that no file system stores as holes, all of them in the page cache. */
async function makeImage(path: string): Promise<void> {
  const handle = await open(path, 'w')
  const chunk = new Uint32Array(2 ** 18)
  for (let done = 0, state = 1; done < imageBytes; done += chunk.byteLength) {
    for (let k = 0; k < chunk.length; k++) {
      state = Math.imul(state, 1664525) + 1013904223
      chunk[k] = state
    }
    await handle.write(chunk)
  }
  await handle.sync()
  await handle.close()
  for await (const _ of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    // Only read.
  }
}

function medianIops(results: readonly FioResult[]): number {
  return median(results.map(result => result.iops))
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
