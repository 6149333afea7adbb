/**
 * Lives of a contender: from an empty directory, with each question in its turn, to nothing. Whatever hangs is ended by force,
 * and said.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { withTimeout } from '../../src/async/with-timeout.ts'
import type { HttpOriginServer } from '../../test/fixtures/http-origin.ts'
import { usageOf } from '../../test/fixtures/process-usage.ts'
import { until } from '../../test/fixtures/until.ts'
import type { Contender, Place, Running } from '../contenders/contender.ts'
import { type FioResult, runFio } from '../fio.ts'
import { type Played, percentile } from '../replay/player.ts'
import { Hung, type ReadingWork, read, readingMsMax } from './reading.ts'
import { type Distance, type Failure, nameOf, type Sample } from './samples.ts'

/** An image that the origin has, and where it lies on the local disk. */
export interface LocalImage {
  readonly name: string
  readonly path: string
}

export interface World {
  /** Below it each contender has its own directory. */
  readonly directory: string
  readonly origin: HttpOriginServer
  /** Null when what is read warm is not to depend on it. */
  readonly distance: Distance | null
  readonly image: LocalImage
  /** A recorded boot, and the image that it reads. */
  readonly trace: string
  readonly bootImage: LocalImage
  readonly secondsPerJob: number
  readonly round: number
  readonly onSample: (sample: Sample) => void
  readonly onFailure: (failure: Failure) => void
}

const MiB = 2 ** 20
const randomReads = 64
const manyReads = 512
/** How long a contender may take to put what it fetched in its place. */
const deferredFillMsMax = 20_000

export class Lives {
  readonly #contender: Contender
  readonly #world: World
  #running: Running | null = null
  #starting: Promise<Running> | null = null
  #isAbandoned = false
  #image: LocalImage

  constructor(contender: Contender, world: World) {
    this.#contender = contender
    this.#world = world
    this.#image = world.image
  }

  async cold(): Promise<void> {
    const { round } = this.#world
    await this.#live(async () => {
      const random: ReadingWork = { kind: 'random', reads: randomReads, atOnce: 1, seed: 100 + round }
      const first = await this.#read(random, ({ latenciesMs }) => ['cold-random', percentile(latenciesMs, 0.5)])
      this.#note('cold-random-bytes', first.fetched / MiB, first.cost)
      await this.#read({ kind: 'herd', readers: 16, offset: 3 * MiB * (1 + round) }, ({ seconds }) => [
        'herd',
        seconds * 1000,
      ])
      await this.#restart()
      const again = await this.#read(random, null)
      this.#note('restart-bytes', again.fetched / MiB, again.cost)
    })
    await this.#live(() =>
      this.#read({ kind: 'random', reads: manyReads, atOnce: 16, seed: 200 + round }, ({ seconds }) => [
        'cold-16-threads',
        manyReads / seconds,
      ]).then(() => {}),
    )
    await this.#live(async () => {
      const rate = ({ bytes, seconds }: Played) => ['cold-sequential', bytes / MiB / seconds] as const
      const { fetched, cost } = await this.#read({ kind: 'sequential' }, rate)
      this.#note('cold-sequential-bytes', fetched / MiB, cost)
    })
    await this.#live(async () => {
      const boot: ReadingWork = { kind: 'replay', trace: this.#world.trace }
      const { fetched, cost } = await this.#read(boot, ({ seconds }) => ['boot-cold', seconds])
      this.#note('boot-cold-bytes', fetched / MiB, cost)
      await this.#rest()
      await this.#read(boot, ({ seconds }) => ['boot-warm', seconds])
    }, this.#world.bootImage)
  }

  async warm(): Promise<void> {
    await this.#live(async () => {
      // Twice: what was not kept the first time is asked for again.
      for (let pass = 0; pass < 2; pass++) {
        await this.#read({ kind: 'sequential' }, null)
        await this.#rest()
      }
      const asked = [
        ['warm-4k-qd1', ({ iops }: FioResult) => iops],
        ['warm-4k-qd32', ({ iops }: FioResult) => iops],
        ['warm-4k-4jobs', ({ iops }: FioResult) => iops],
        ['warm-1m-qd4', ({ mibPerSecond }: FioResult) => mibPerSecond],
        ['warm-4k-buffered', ({ iops }: FioResult) => iops],
        ['warm-1m-buffered', ({ mibPerSecond }: FioResult) => mibPerSecond],
        ['reopen', ({ mibPerSecond }: FioResult) => mibPerSecond],
      ] as const
      for (const [job, figureOf] of asked) {
        const { result, cost } = await this.#measured(() =>
          withTimeout(
            readingMsMax,
            runFio(`bench/jobs/${job}.fio`, this.#running!.path, this.#world.secondsPerJob),
            () => new Hung(`${job}: no end after ${readingMsMax / 1000} s`),
          ),
        )
        this.#note(job, figureOf(result), cost)
      }
    })
  }

  /** End what runs, by force: the run is over. Never rejects. */
  async abandon(): Promise<void> {
    this.#isAbandoned = true
    const running = await this.#starting?.catch(() => null) // One that did not start has said so.
    await running?.kill()
  }

  /** From an empty directory; a failure ends this life alone. */
  async #live(work: () => Promise<void>, image: LocalImage = this.#world.image): Promise<void> {
    this.#image = image
    const { directory, round, distance, onFailure } = this.#world
    const own = join(directory, 'contender')
    await mkdir(own)
    try {
      await this.#start(own)
      await work()
      await this.#running!.stop()
    } catch (error) {
      const reason = error instanceof Hung ? `hung: ${error.message}` : (error as Error).message
      const { name } = this.#contender
      onFailure({ contender: name, distance: distance && nameOf(distance), round, reason })
      await this.#running?.kill()
    } finally {
      this.#running = null
      await rm(own, { recursive: true, force: true })
    }
  }

  async #restart(): Promise<void> {
    await this.#rest()
    await this.#running!.stop()
    await this.#start(join(this.#world.directory, 'contender'))
  }

  async #start(directory: string): Promise<void> {
    if (this.#isAbandoned) throw new Error('the run is over')
    this.#starting = this.#contender.start(this.#place(directory))
    this.#running = await this.#starting
  }

  #place(directory: string): Place {
    const { name, path } = this.#image
    return { directory, originUrl: this.#world.origin.url, imageName: name, imagePath: path }
  }

  /** Until it asks its origin for nothing more. */
  async #rest(): Promise<void> {
    let [last, lastMs] = [-1, performance.now()]
    await until(
      async () => {
        const { bytes } = await this.#world.origin.counters()
        if (bytes !== last) lastMs = performance.now()
        last = bytes
        return performance.now() - lastMs > 300
      },
      deferredFillMsMax,
      'rest',
    )
  }

  /** Read and note what it came to. @returns what was fetched for it, in bytes */
  async #read(work: ReadingWork, noted: ((played: Played) => readonly [string, number]) | null) {
    const { origin } = this.#world
    const before = (await origin.counters()).bytes
    const { result, cost } = await this.#measured(() =>
      read({ path: this.#running!.path, imagePath: this.#image.path, work }),
    )
    if (result.wrong > 0) throw new Error(`${result.wrong} reads brought other bytes than the image has, or failed`)
    if (noted) this.#note(...noted(result), cost)
    // What it fetches behind the reads counts too.
    await this.#rest()
    return { fetched: (await origin.counters()).bytes - before, cost }
  }

  async #measured<T>(work: () => Promise<T>) {
    const usages = () => this.#running!.pids().map(pid => usageOf(pid))
    const sum = (of: (usage: ReturnType<typeof usageOf>) => number) => usages().reduce((all, each) => all + of(each), 0)
    const before = sum(({ cpuMs }) => cpuMs)
    const result = await work()
    const cost = { cpuMs: sum(({ cpuMs }) => cpuMs) - before, rssAnonBytes: sum(usage => usage.rssAnonBytes) }
    return { result, cost }
  }

  #note(question: string, value: number, cost: Pick<Sample, 'cpuMs' | 'rssAnonBytes'>): void {
    const { distance, round, onSample } = this.#world
    const { name } = this.#contender
    onSample({ question, contender: name, distance: distance && nameOf(distance), round, value, ...cost })
  }
}
