/**
 * The mixed part of a soak: a real mount over a web server, readers that check every byte, and one fault after another.
 */
import { renameSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { CheckingReaders, type ReadersReport } from '../../test/fixtures/checking-readers.ts'
import { type Daemon, mountDaemon, type Place, parentfs, place, statusOf, stop } from '../../test/fixtures/daemon.ts'
import { readWithFio, writeVerified } from '../../test/fixtures/fio.ts'
import { type Fault, type HttpOriginServer, spawnHttpOrigin } from '../../test/fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../../test/fixtures/images.ts'
import { killDaemon, killWays } from '../../test/fixtures/kills.ts'
import { type ProcessUsage, usageOf } from '../../test/fixtures/process-usage.ts'
import { between } from '../../test/fixtures/seeded.ts'
import { sampleUsage, type UsageSample } from '../../test/fixtures/usage-sampler.ts'

const MiB = 1024 ** 2
const names = ['a.raw', 'b.raw']
const sizeBytes = 12 * MiB + 345
const verifiedBytes = 16 * MiB
/**
 * Versions of one name that a reader may still find: names are revalidated each second, files reopened after 50 reads.
 */
const versionsMax = 8
const readerCount = 6
/** Longest time until the readers go on after a fault. */
const goOnMsMax = 120_000
const capacities = [16, 24, 40].map(size => size * MiB)

const faults: readonly Omit<Fault, 'method'>[] = [
  { kind: 'status', status: 503 },
  { kind: 'status', status: 404 },
  { kind: 'reset' },
  { kind: 'cut' },
  { kind: 'short' },
  { kind: 'long' },
  { kind: 'whole' },
  { kind: 'wrong-range' },
  { kind: 'other-etag' },
  { kind: 'gzip' },
  { kind: 'garbage' },
  { kind: 'stall-after-headers' },
]

export class World {
  readonly counts = { events: 0, kills: 0, restarts: 0, replaced: 0, resized: 0, faults: 0, fio: 0, evicted: 0 }
  /** Wrong bytes, a ceiling that was passed, a daemon that ended by itself: each fails the soak. */
  readonly offences: string[] = []
  readonly reads = { reads: 0, failed: 0, wrongReads: 0, longestMs: 0 }
  peakShare = 0
  /** Of the first worker and of the last. */
  usage: ProcessUsage[] = []
  readonly #test: Pick<Test, 'teardown'>
  readonly #random: () => number
  readonly #where: Place
  readonly #origin: HttpOriginServer
  readonly #versions = new Map<string, Buffer[]>(names.map(name => [name, []]))
  #seed: number
  #daemon!: Daemon
  #workerPid = 0
  #readers!: CheckingReaders
  #finish!: () => Promise<UsageSample>
  #capacityBytes = capacities[1]!

  private constructor(t: Pick<Test, 'teardown'>, where: Place, origin: HttpOriginServer, random: () => number) {
    this.#test = t
    this.#where = where
    this.#origin = origin
    this.#random = random
    this.#seed = between(random, 1, 1e6)
  }

  static async start(t: Pick<Test, 'teardown'>, random: () => number): Promise<World> {
    const local = place(t)
    const origin = await spawnHttpOrigin({ directory: local.originDirectory, delayMs: 2 })
    t.teardown(() => origin.close())
    const world = new World(t, { ...local, origin: origin.url }, origin, random)
    for (const name of names) world.#replace(name)
    await writeVerified(join(local.originDirectory, 'v.raw'), verifiedBytes)
    await world.#mount()
    world.usage.push(usageOf(world.#workerPid))
    return world
  }

  /** Let one thing happen, drawn, and see the readers go on. @returns what it was */
  async happen(): Promise<string> {
    this.counts.events++
    const events = [
      () => this.#fault(),
      () => this.#fault(),
      () => this.#restart(),
      () => this.#kill(),
      () => this.#replaceOne(),
      () => this.#resize(),
      () => this.#fio(),
      () => this.#look(),
    ]
    const what = await events[between(this.#random, 0, events.length)]!()
    const { reads } = this.#readers.report()
    await this.#readers.haveRead(reads + between(this.#random, 50, 500), goOnMsMax)
    if (this.#daemon.child.exitCode !== null)
      this.offences.push(`after ${what} the daemon ended: ${this.#daemon.log()}`)
    return what
  }

  /** Stop all of it. Idempotent with the teardown. */
  async end(): Promise<void> {
    await this.#stopReaders()
    this.usage.push(usageOf(this.#workerPid))
    await this.#noteStatus()
    await this.#stopSampling()
    if ((await stop(this.#daemon)) !== 0) this.offences.push(`the last daemon: ${this.#daemon.log()}`)
  }

  async #mount(): Promise<void> {
    const options = ['--capacity', `${this.#capacityBytes}`, '--block-size', '4KiB', '--revalidate', '1s']
    this.#daemon = await mountDaemon(this.#test, this.#where, ...options)
    this.#workerPid = (await statusOf(this.#where)).pid
    this.#finish = await sampleUsage(this.#test, this.#where.cacheDirectory)
    const { mountpoint } = this.#where
    this.#readers = new CheckingReaders({ mountpoint, images: this.#versions, count: readerCount, seed: this.#seed++ })
  }

  async #stopReaders(): Promise<void> {
    const report: ReadersReport = await this.#readers.stop()
    this.reads.reads += report.reads
    this.reads.failed += report.failed
    this.reads.wrongReads += report.wrongReads
    this.reads.longestMs = Math.max(this.reads.longestMs, report.longestMs)
    this.offences.push(...report.wrong.map(where => `wrong bytes: ${where}`))
  }

  async #stopSampling(): Promise<void> {
    const { highestBytes } = await this.#finish()
    this.peakShare = Math.max(this.peakShare, highestBytes / this.#capacityBytes)
    if (highestBytes > this.#capacityBytes) this.offences.push(`${highestBytes} bytes of ${this.#capacityBytes}`)
  }

  async #noteStatus(): Promise<void> {
    const { eviction, scrub } = await statusOf(this.#where)
    this.counts.evicted += eviction.objects
    if (scrub.corruptBlocks > 0) this.offences.push(`${scrub.corruptBlocks} blocks differ from their checksums`)
  }

  async #fault(): Promise<string> {
    const fault = faults[between(this.#random, 0, faults.length)]!
    this.counts.faults++
    await this.#origin.fault({ ...fault, method: 'GET', times: between(this.#random, 1, 12) })
    const { reads } = this.#readers.report()
    await this.#readers.haveRead(reads + 50, goOnMsMax)
    await this.#origin.fault(null)
    return `${fault.kind} ${fault.status ?? ''}`.trim()
  }

  async #restart(): Promise<string> {
    this.counts.restarts++
    await this.#stopReaders()
    await this.#noteStatus()
    await this.#stopSampling()
    const code = await stop(this.#daemon)
    if (code !== 0) this.offences.push(`exit ${code}: ${this.#daemon.log()}`)
    await this.#mount()
    return 'restart'
  }

  async #kill(): Promise<string> {
    this.counts.kills++
    const way = killWays[between(this.#random, 0, killWays.length)]!
    await this.#noteStatus()
    await killDaemon(way, this.#where, this.#daemon, this.#workerPid)
    await this.#stopReaders()
    await this.#stopSampling()
    await this.#mount()
    return `kill of ${way}`
  }

  async #replaceOne(): Promise<string> {
    const name = names[between(this.#random, 0, names.length)]!
    this.#replace(name)
    this.counts.replaced++
    return `another ${name}`
  }

  #replace(name: string): void {
    const image = { seed: this.#seed++, sizeBytes: sizeBytes + between(this.#random, 0, 9999), dataShare: 0.9 }
    const path = join(this.#where.originDirectory, name)
    const versions = this.#versions.get(name)!
    writeSample(`${path}.new`, image)
    // Known before a reader can find it.
    versions.push(sampleBytes(image, 0, image.sizeBytes))
    renameSync(`${path}.new`, path)
    if (versions.length > versionsMax) versions.shift()
  }

  async #resize(): Promise<string> {
    const capacityBytes = capacities[between(this.#random, 0, capacities.length)]!
    await this.#stopSampling()
    const { code, stderr } = await parentfs('set', 'capacity', this.#where.mountpoint, `${capacityBytes}`)
    if (code !== 0) this.offences.push(`set capacity ${capacityBytes}: ${stderr}`)
    this.#capacityBytes = capacityBytes
    this.#finish = await sampleUsage(this.#test, this.#where.cacheDirectory)
    this.counts.resized++
    return `capacity ${capacityBytes / MiB} MiB`
  }

  async #fio(): Promise<string> {
    const engine = (['libaio', 'io_uring', 'psync', 'mmap'] as const)[between(this.#random, 0, 4)]!
    const direct = engine !== 'mmap' && this.#random() < 0.5
    const way = { engine, direct, depth: 8, jobs: 2, seconds: 2 }
    const { error, stderr } = await readWithFio(join(this.#where.mountpoint, 'v.raw'), verifiedBytes, way)
    this.counts.fio++
    // No fault is on: 84 (EILSEQ) would be wrong bytes, and nothing else may happen either.
    if (error !== 0) this.offences.push(`fio ${engine}: error ${error}: ${stderr}`)
    return `fio with ${engine}`
  }

  async #look(): Promise<string> {
    const { mountpoint } = this.#where
    for (let k = 0; k < 50; k++) {
      await readdir(mountpoint)
      await stat(join(mountpoint, `missing-${k}`)).catch(() => null)
    }
    return 'listings'
  }
}
