/**
 * `make run`: the main job of parentfs on a sample image, from nothing to nothing.
 *
 * An image is made, and another process serves it over HTTP, 10 ms away. The real command mounts it. It is read cold,
 * warm, and after a restart of the daemon; a table has the time of each pass and its bytes from the origin. The
 * checksums of origin and mount must agree. Everything lies in one temporary directory and is gone at the end, also
 * after a failure or Ctrl-C.
 */
import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import Table from 'cli-table3'
import prettyBytes from 'pretty-bytes'
import type { Status } from '../src/admin/status.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { randomFrom, writeSample } from '../test/fixtures/images.ts'
import { parentfs } from './demo/command.ts'
import { beginStep } from './demo/progress.ts'
import { type Measured, readRandomly, readThrough } from './demo/reading.ts'

const image = { seed: 20, sizeBytes: 192 * 1024 * 1024 + 1234, dataShare: 0.7 }
const randomReads = 1000
const originDelayMs = 10

interface Row {
  readonly name: string
  readonly measured: Measured
  readonly requests: number
  readonly originBytes: number
}

interface Demo {
  readonly mountpoint: string
  readonly cacheDirectory: string
  readonly logFile: string
  readonly origin: HttpOriginServer
  readonly signal: AbortSignal
}

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupted.abort())

try {
  await run(interrupted.signal)
} catch (error) {
  process.exitCode = 1
  const message = interrupted.signal.aborted ? 'interrupted' : (error as Error).message
  console.error(message.startsWith('parentfs: ') ? message : `demo: ${message}`)
}

async function run(signal: AbortSignal): Promise<void> {
  const top = mkdtempSync(join(tmpdir(), 'parentfs-demo-'))
  const images = join(top, 'images')
  const mountpoint = join(top, 'mnt')
  let origin: HttpOriginServer | null = null
  try {
    for (const directory of [images, mountpoint]) mkdirSync(directory)
    const source = join(images, 'sample.raw')
    console.log(`Making a sample image of ${bytes(image.sizeBytes)}, served over HTTP ${originDelayMs} ms away.`)
    writeSample(source, image)
    const expected = await sha256Of(source)
    origin = await spawnHttpOrigin({ directory: images, delayMs: originDelayMs })
    const cacheDirectory = join(top, 'cache')
    const demo = { mountpoint, cacheDirectory, logFile: join(top, 'log'), origin, signal }
    const { rows, sums } = await passes(demo)
    console.log(`\n${tableOf(rows)}\n`)
    if (sums.some(sum => sum !== expected)) throw new Error(`checksums differ: ${expected} and ${sums.join(', ')}`)
    console.log(`SHA-256 of origin and of every pass through the mount: ${expected}`)
  } finally {
    await parentfs('unmount', '--force', mountpoint).catch(() => {}) // Mostly: it is unmounted already.
    await origin?.close()
    rmSync(top, { recursive: true, force: true })
  }
}

/** Cold, warm, and after a restart. */
async function passes(demo: Demo): Promise<{ rows: Row[]; sums: string[] }> {
  const rows: Row[] = []
  const sums: string[] = []
  await mount(demo)
  sums.push(await pass(demo, 'cold', rows))
  sums.push(await pass(demo, 'warm', rows))
  await parentfs('unmount', demo.mountpoint)
  const startMs = performance.now()
  await mount(demo)
  console.log(`Unmounted, and mounted again in ${Math.round(performance.now() - startMs)} ms.`)
  sums.push(await pass(demo, 'restarted', rows))
  await parentfs('unmount', demo.mountpoint)
  console.log('Unmounted.')
  return { rows, sums }
}

async function mount({ origin, mountpoint, cacheDirectory, logFile, signal }: Demo): Promise<void> {
  signal.throwIfAborted()
  const options = ['--cache-dir', cacheDirectory, '--capacity', '512MiB', '--background', '--log-file', logFile]
  await parentfs('mount', origin.url, mountpoint, ...options)
}

/** @returns the SHA-256 of the whole image as read through the mount */
async function pass(demo: Demo, name: string, rows: Row[]): Promise<string> {
  const path = join(demo.mountpoint, 'sample.raw')
  const step = async <M extends Measured>(what: string, total: number, read: (options: ReadOptions) => Promise<M>) => {
    const progress = beginStep(`${name}, ${what}`, total)
    await demo.origin.reset()
    const { sizeBytes } = image
    const measured = await read({ path, sizeBytes, onProgress: done => progress.update(done), signal: demo.signal })
    const { requests, bytes: originBytes } = await demo.origin.counters()
    progress.finish(`${measured.reads} reads in ${measured.seconds.toFixed(2)} s, ${requests} requests to the origin`)
    rows.push({ name: `${name}, ${what}`, measured, requests, originBytes })
    return measured
  }
  // The same offsets in each pass.
  const random = randomFrom(image.seed)
  await step('random 4 KiB', randomReads * 4096, options => readRandomly(options, randomReads, random))
  const { sha256 } = await step('sequential 1 MiB', image.sizeBytes, readThrough)
  await promoted(demo)
  return sha256
}

type ReadOptions = Parameters<typeof readThrough>[0]

/** The last reads may still be on their way into the cache. */
async function promoted({ mountpoint, signal }: Demo): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    signal.throwIfAborted()
    const status = JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
    if (status.promotion.queuedBytes === 0) return
  }
}

function tableOf(rows: readonly Row[]): string {
  const head = ['pass', 'reads', 'mean ms', 'p99 ms', 'MiB/s', 'origin requests', 'origin bytes']
  const table = new Table({
    head,
    style: { head: [], border: [] },
    colAligns: ['left', ...head.slice(1).map(() => 'right' as const)],
  })
  for (const { name, measured, requests, originBytes } of rows) {
    const { reads, meanMs, p99Ms, seconds } = measured
    const rate = measured.bytes / seconds / 1024 ** 2
    table.push([name, reads, meanMs.toFixed(2), p99Ms.toFixed(2), rate.toFixed(1), requests, bytes(originBytes)])
  }
  return table.toString()
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

function bytes(count: number): string {
  return prettyBytes(count, { binary: true })
}
