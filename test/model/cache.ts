/**
 * Seeded random operations on a small cache, against a plain byte array. Reads have any length and any offset, many at
 * once, while read-ahead, promotion and eviction race. Readers leave, the origin fails, and images are replaced, open
 * or not, also by versions that were there before. The cache is restarted in between.
 *
 * OPERATIONS=n sets their number; SEED=n another sequence.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CacheError, isCacheError } from '../../src/base/errors.ts'
import type { Image } from '../../src/base/image.ts'
import type { ImageEntry } from '../../src/index/index-database.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { forever, openRooms, type Rooms } from '../fixtures/rooms.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'

const KiB = 1024
const operations = Number(process.env.OPERATIONS ?? 20_000)
const sizes = { a: 40_000 * KiB + 777, b: 3000 * KiB, c: 5, d: 0, e: 256 * KiB }
type Name = keyof typeof sizes
const names = Object.keys(sizes) as Name[]
const zeros = [[64 * KiB, 200 * KiB]] as const

/** An origin that is far, and one that is near, of which readers get their own bytes first. */
const kinds = {
  far: { blockBytes: 4 * KiB, capacityBytes: 16 * 1024 * KiB },
  near: { blockBytes: 16 * KiB, capacityBytes: 40 * 1024 * KiB },
}

/** A cache over an origin that changes, and what must be read from it. */
class World {
  readonly random = seeded(seed)
  readonly counts = { wrong: 0, failed: 0, left: 0, changed: 0, hits: 0, misses: 0, evicted: 0, retired: 0, ahead: 0 }
  readonly #origin = new MemoryOrigin()
  /** By name and validator. */
  readonly #truth = new Map<string, Buffer>()
  readonly #test: Test
  readonly #directory: string
  readonly #kind: keyof typeof kinds
  #rooms!: Rooms
  #images: readonly ImageEntry[] = []
  /** Held open, with a name or without. */
  readonly #open: Image[] = []

  constructor(t: Test, kind: keyof typeof kinds) {
    this.#test = t
    this.#kind = kind
    this.#directory = t.testdir()
    for (const name of names) this.#replace(name)
    this.#origin.gate = async () => {
      if (this.random() < 0.02) throw new CacheError('origin-failed', 'one in fifty')
      if (this.random() < 0.3) await new Promise(resolve => setImmediate(resolve))
    }
  }

  async start(): Promise<void> {
    const sizes = kinds[this.#kind]
    const origin = [{ directory: null, origin: this.#origin }]
    const options = { revalidateSeconds: 0, retire: { graceMs: 0 }, readAheadBytesMax: 1024 * KiB }
    this.#rooms = await openRooms({ directory: this.#directory, origin, ...options, ...sizes })
    await this.#lookUp()
  }

  /** Sixteen reads at once, and perhaps another version of an image. */
  async step(): Promise<void> {
    if (this.random() < 0.3) await this.#replaceOne()
    await Promise.all(Array.from({ length: 16 }, () => this.#read(this.#draw())))
  }

  /** Stop; nothing is left of versions without a name. */
  async end(): Promise<void> {
    const { cache } = this.#rooms
    this.#release(this.#open.length)
    const known = new Set(this.#images.map(({ image }) => image.id))
    // Work that is on its way into a version keeps it for a moment. A look under way may have begun when it was open.
    const isRetired = async () => {
      await cache.retireVersions()
      return cache.capacity().images === known.size
    }
    await until(isRetired, 10_000, 'the end of versions without a name')
    const files = readdirSync(join(this.#directory, 'images'))
    if (!files.every(name => known.has(name))) this.#test.fail(`files of versions without a name: ${files}`)
    const { reads, eviction, retirement, prefetch } = cache.counters
    this.counts.ahead += prefetch.purposes.stream.fetchedBytes
    this.counts.hits += reads.hits
    this.counts.misses += reads.misses
    this.counts.evicted += eviction.objects
    this.counts.retired += retirement.retired
    await this.#rooms.close()
  }

  #replace(name: Name): void {
    const version = between(this.random, 1, 6)
    this.#origin.put(name, sizes[name], version, zeros)
    this.#truth.set(`${name} seed ${version}`, this.#origin.bytes(name, 0, sizes[name]))
  }

  async #replaceOne(): Promise<void> {
    // Not the first, which is large.
    const at = between(this.random, 1, names.length)
    const { image } = this.#images[at]!
    if (this.random() < 0.5) {
      this.#open.push(image)
      await this.#rooms.cache.open(image)
    }
    this.#replace(names[at]!)
    await this.#lookUp()
    void this.#rooms.cache.retireVersions() // Never rejects.
    if (this.random() < 0.5) this.#release(between(this.random, 0, this.#open.length + 1))
  }

  #release(count: number): void {
    for (const image of this.#open.splice(0, count)) this.#rooms.cache.release(image)
  }

  async #lookUp(): Promise<void> {
    const { cache } = this.#rooms
    this.#images = await Promise.all(names.map(name => cache.lookup(null, name, { signal: forever })))
  }

  #draw(): Image {
    if (this.#open.length > 0 && this.random() < 0.2) return this.#open[between(this.random, 0, this.#open.length)]!
    return this.#images[this.random() < 0.7 ? 0 : between(this.random, 0, this.#images.length)]!.image
  }

  async #read(image: Image): Promise<void> {
    const { random, counts } = this
    const offset = between(random, 0, image.sizeBytes + 1)
    const wanted = random() < 0.5 ? between(random, 1, 5000) : between(random, 1, 1024 * KiB)
    const length = Math.min(wanted, image.sizeBytes - offset)
    const controller = new AbortController()
    if (random() < 0.05) setImmediate(() => controller.abort())
    try {
      const { signal } = controller
      // Half of them give the bytes back after they have looked at them, some of those late: until then the memory is
      // theirs alone.
      let release = () => {}
      const lend = (given: () => void) => {
        release = given
      }
      const options = random() < 0.5 ? { signal, lend } : { signal }
      const bytes = await this.#rooms.cache.read(image, offset, length, options)
      while (random() < 0.3) await new Promise(resolve => setImmediate(resolve))
      const truth = this.#truth.get(`${image.key} ${image.validator}`)!
      if (!truth.subarray(offset, offset + length).equals(bytes)) counts.wrong++
      release()
    } catch (error) {
      if (isCacheError(error, 'aborted')) counts.left++
      else if (isCacheError(error, 'origin-failed')) counts.failed++
      else if (isCacheError(error, 'image-changed')) counts.changed++
      else throw error
    }
  }
}

/** @returns what happened */
async function run(t: Test, kind: keyof typeof kinds, count: number): Promise<World['counts']> {
  const world = new World(t, kind)
  for (let done = 0; done < count; ) {
    await world.start()
    const batch = between(world.random, 100, 2000)
    for (let k = 0; k < batch; k += 16) await world.step()
    done += batch
    await world.end()
  }
  t.comment(world.counts)
  t.equal(world.counts.wrong, 0)
  return world.counts
}

t.test(`${operations} operations give the right bytes (SEED=${seed})`, async t => {
  const counts = await run(t, 'far', operations)
  t.ok(counts.hits > operations / 100 && counts.misses > operations / 100 && counts.evicted > 50, 'everything happened')
  t.ok(counts.failed > 0 && counts.left > 0 && counts.changed > 0 && counts.retired > operations / 1000)
})

t.test(`${operations / 4} operations over an origin that is near (SEED=${seed})`, async t => {
  const counts = await run(t, 'near', operations / 4)
  t.ok(counts.hits > 0 && counts.misses > 0 && counts.failed > 0 && counts.left > 0 && counts.changed > 0)
})
