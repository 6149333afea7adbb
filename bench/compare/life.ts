/**
 * One life of a contender in one scene: from an empty directory, through the work of the scene, to its end. A contender
 * that hangs is ended by force, and its failure is noted.
 */
import { readFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { withTimeout } from '../../src/async/with-timeout.ts'
import { latenciesSince, latencyQuantile } from '../../src/base/latency-histogram.ts'
import { fillCache } from '../../test/fixtures/filled-cache.ts'
import { usageOf } from '../../test/fixtures/process-usage.ts'
import { until } from '../../test/fixtures/until.ts'
import type { Contender, Running } from '../contenders/contender.ts'
import { curl, download } from '../contenders/local.ts'
import { type FioResult, runFio } from '../fio.ts'
import { type Played, percentile } from '../replay/player.ts'
import { roundTripMs, type SceneOrigin } from './origin.ts'
import { dealt, Hung, type Reading, randomReads, read, readingMsMax } from './reading.ts'
import type { Failure, LifeKind, Sample, Scene } from './samples.ts'

/** An image that the origin has, and its place on the local disk. */
export interface LocalImage {
  readonly name: string
  readonly path: string
  readonly sizeBytes: number
}

export interface World {
  /** Below it the contender has its own directory. */
  readonly directory: string
  readonly origin: SceneOrigin
  readonly scene: Scene
  readonly image: LocalImage
  readonly profile: string | null
  readonly trace: string
  readonly round: number
  readonly secondsPerJob: number
  readonly onSample: (sample: Sample) => void
  readonly onFailure: (failure: Failure) => void
}

type Cost = Pick<Sample, 'cpuMs' | 'rssAnonBytes'>

const MiB = 2 ** 20
const oneByOne = 256
const manyReads = 2048
const threads = 16
const firstReads = 64
/** Random reads after a sequential pass take so many times the seconds of a job: 10 s of jobs of 2 s. */
const jobsAfterPass = 5
/** Longest wait for a contender that still fetches. */
const restMsMax = 20_000
/** Objects of the image that a cache holds already at the begin of a storm. */
const heldObjects = 262_144
const objectBytes = 4 * MiB

export class Life {
  readonly #contender: Contender
  readonly #world: World
  readonly #directory: string
  #running: Running | null = null
  #starting: Promise<Running> | null = null
  #isAbandoned = false

  constructor(contender: Contender, world: World) {
    this.#contender = contender
    this.#world = world
    this.#directory = join(world.directory, 'contender')
  }

  /** Never rejects: a failure goes to `onFailure`. */
  async live(): Promise<void> {
    const { scene, round, onFailure } = this.#world
    const works: Record<LifeKind, () => Promise<void>> = {
      misses: () => this.#misses(),
      first: () => this.#first(),
      sequential: () => this.#sequential(),
      boot: () => this.#boot(),
      storm: () => this.#storm(),
      complete: () => this.#complete(),
    }
    await mkdir(this.#directory)
    try {
      if (scene.life === 'storm') await this.#fill()
      await this.#start()
      await works[scene.life]()
      await this.#running!.stop()
    } catch (error) {
      const reason = error instanceof Hung ? `hung: ${error.message}` : (error as Error).message
      onFailure({ contender: this.#contender.name, scene: scene.id, round, reason })
      await this.#running?.kill()
    } finally {
      await rm(this.#directory, { recursive: true, force: true })
    }
  }

  /** End it by force: the run is over. Never rejects. */
  async abandon(): Promise<void> {
    this.#isAbandoned = true
    const running = await this.#starting?.catch(() => null) // One that did not start has said so.
    await running?.kill()
  }

  async #misses(): Promise<void> {
    const one = this.#random(0, oneByOne)
    await this.#read(one, ({ latenciesMs }) => ['cold-4k', 1000 * percentile(latenciesMs, 0.5)])
    const { pid } = (await this.#running!.status?.()) ?? {}
    const before = pid ? mainThreadUs(pid) : 0
    const many = this.#random(oneByOne, manyReads, threads)
    const { cost } = await this.#read(many, ({ seconds }) => ['cold-16', manyReads / seconds])
    this.#note('cold-bytes', (await this.#world.origin.sentBytes()) / MiB, cost)
    // Promotions are part of a miss: the reads are over, and so is the rest after them.
    if (pid) this.#note('cold-js', (mainThreadUs(pid) - before) / manyReads, cost)
  }

  async #first(): Promise<void> {
    const { origin, image, round } = this.#world
    const reads = randomReads(image.sizeBytes, 100 + round, 0, firstReads)
    const tripMs = await roundTripMs(`${origin.url}${image.name}`, reads)
    const work = this.#random(0, firstReads)
    const first = await this.#read(work, ({ latenciesMs }) => ['first-64', mean(latenciesMs)])
    this.#note('first-64-over', mean(first.result.latenciesMs) - tripMs, first.cost)
    this.#note('first-64-bytes', first.fetched / MiB, first.cost)
    const herd = { kind: 'lists', lists: Array(threads).fill(this.#listed(firstReads, 1)) } as const
    await this.#read(herd, ({ seconds }) => ['herd', seconds * 1000])
    await this.#running!.stop()
    await this.#start()
    const again = await this.#read(work, null)
    this.#note('restart-bytes', again.fetched / MiB, again.cost)
  }

  async #sequential(): Promise<void> {
    const { image, secondsPerJob } = this.#world
    if (this.#contender === curl) {
      const { result, cost } = await this.#measured(() => download(this.#running!.path, image.sizeBytes))
      return this.#note('sequential', image.sizeBytes / MiB / result, cost)
    }
    const rate = ({ bytes, seconds }: Played) => ['sequential', bytes / MiB / seconds] as const
    const { cost } = await this.#read({ kind: 'sequential' }, rate, false)
    await this.#fio('warm-4k-qd1', jobsAfterPass * secondsPerJob, ({ iops }) => ['random-after', iops])
    this.#note('sequential-bytes', (await this.#world.origin.sentBytes()) / MiB, cost)
  }

  async #boot(): Promise<void> {
    const { trace, scene } = this.#world
    const work = { kind: 'replay', trace } as const
    const { result, fetched, cost } = await this.#read(work, ({ seconds }) => ['boot', seconds])
    this.#note('boot-bytes', fetched / MiB, cost)
    this.#note('boot-waits', result.latenciesMs.filter(ms => ms > scene.delayMs / 2).length, cost)
    await this.#read(work, ({ seconds }) => ['boot-warm', seconds])
  }

  async #storm(): Promise<void> {
    const before = await this.#running!.status?.()
    let rssAnonBytes = 0
    const look = setInterval(() => {
      rssAnonBytes = Math.max(rssAnonBytes, this.#usage().rssAnonBytes)
    }, 100)
    const seconds = jobsAfterPass * this.#world.secondsPerJob
    const cost = await this.#fio('storm', seconds, ({ iops }) => ['storm-reads', iops]).finally(() =>
      clearInterval(look),
    )
    this.#note('storm-memory', rssAnonBytes / MiB, cost)
    if (!before) return
    const { eventLoopLag } = (await this.#running!.status!())!
    this.#note('storm-lag', 1000 * latencyQuantile(latenciesSince(before.eventLoopLag, eventLoopLag), 0.99)!, cost)
  }

  async #complete(): Promise<void> {
    // Twice: bytes that were not kept the first time are fetched again.
    for (let pass = 0; pass < 2; pass++) await this.#read({ kind: 'sequential' }, null)
    const usEach = ({ iops }: FioResult) => 1e6 / iops
    const jobs = [
      ...(['warm-4k-qd1', 'warm-4k-qd32', 'warm-4k-4jobs', 'warm-1m-qd4'] as const).map(job => [job, usEach] as const),
      ['warm-4k-buffered', ({ iops }: FioResult) => iops],
      ['warm-1m-buffered', ({ mibPerSecond }: FioResult) => mibPerSecond],
      ['reopen', ({ mibPerSecond }: FioResult) => mibPerSecond],
    ] as const
    for (const [job, figureOf] of jobs) {
      await this.#fio(job, this.#world.secondsPerJob, result => [job, figureOf(result)])
    }
  }

  /** A cache that has been in use for weeks: an index full of records, beside the image that is read. */
  async #fill(): Promise<void> {
    if (!this.#contender.name.startsWith('parentfs')) return
    const facts = { key: 'held.raw', sizeBytes: heldObjects * objectBytes, validator: 'of held', modifiedMs: 0 }
    await fillCache({
      directory: join(this.#directory, 'cache'),
      facts: { ...facts, origin: this.#world.origin.url },
      blockBytes: 65_536,
      blocks: 2n ** 64n - 1n,
      objects: Array.from({ length: heldObjects }, (_, object) => object),
    })
  }

  #random(first: number, count: number, lists = 1): Reading['work'] {
    return { kind: 'lists', lists: dealt(this.#listed(first, count), lists) }
  }

  #listed(first: number, count: number) {
    return randomReads(this.#world.image.sizeBytes, 100 + this.#world.round, first, count)
  }

  async #start(): Promise<void> {
    if (this.#isAbandoned) throw new Error('the run is over')
    const { image, origin, profile } = this.#world
    const place = { directory: this.#directory, originUrl: origin.url, imageName: image.name, imagePath: image.path }
    this.#starting = this.#contender.start({ ...place, profile })
    this.#running = await this.#starting
  }

  /** Until it asks its origin for nothing more. */
  async #rest(): Promise<void> {
    let [last, lastMs] = [-1, performance.now()]
    const isQuiet = async () => {
      await new Promise(resolve => setTimeout(resolve, 50))
      const sent = await this.#world.origin.sentBytes()
      if (sent !== last) lastMs = performance.now()
      last = sent
      return performance.now() - lastMs > 300
    }
    await until(isQuiet, restMsMax, 'rest')
  }

  /**
   * Read, and note the value of a question.
   * @param rests wait for fetches behind the reads
   * @returns the bytes that were fetched for it too
   */
  async #read(work: Reading['work'], noted: ((played: Played) => readonly [string, number]) | null, rests = true) {
    const { origin, image } = this.#world
    const before = await origin.sentBytes()
    const { result, cost } = await this.#measured(() =>
      read({ path: this.#running!.path, imagePath: image.path, work }),
    )
    if (result.wrong > 0) throw new Error(`${result.wrong} reads brought other bytes than the image has, or failed`)
    if (noted) this.#note(...noted(result), cost)
    if (rests) await this.#rest()
    return { result, fetched: (await origin.sentBytes()) - before, cost }
  }

  async #fio(job: string, seconds: number, noted: (result: FioResult) => readonly [string, number]): Promise<Cost> {
    const { result, cost } = await this.#measured(() => {
      const run = runFio(`bench/jobs/${job}.fio`, this.#running!.path, seconds)
      return withTimeout(readingMsMax, run, () => new Hung(`${job}: no end after ${readingMsMax / 1000} s`))
    })
    this.#note(...noted(result), cost)
    return cost
  }

  async #measured<T>(work: () => Promise<T>): Promise<{ result: T; cost: Cost }> {
    const { cpuMs: before } = this.#usage()
    const result = await work()
    const { cpuMs, rssAnonBytes } = this.#usage()
    return { result, cost: { cpuMs: cpuMs - before, rssAnonBytes } }
  }

  /** Of all its processes. */
  #usage(): Cost {
    const usages = this.#running!.pids().map(pid => usageOf(pid))
    const sum = (of: (usage: Cost) => number) => usages.reduce((all, each) => all + of(each), 0)
    return { cpuMs: sum(({ cpuMs }) => cpuMs), rssAnonBytes: sum(({ rssAnonBytes }) => rssAnonBytes) }
  }

  #note(question: string, value: number, cost: Cost): void {
    const { scene, round, onSample } = this.#world
    onSample({ question, contender: this.#contender.name, scene: scene.id, round, value, ...cost })
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length
}

/**
 * Processor time of a process's main thread. Source: Linux Documentation/scheduler/sched-stats.rst,
 * /proc/PID/schedstat.
 */
function mainThreadUs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1000
}
