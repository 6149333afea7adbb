/**
 * Seeded random operations on a small cache, against a plain byte array. Reads have any length and any offset, many at
 * once, while read-ahead, promotion and eviction race. Readers leave, the origin fails, and images are replaced, open
 * or not, also by versions that were there before. The cache is restarted in between, in the middle of reads.
 *
 * Half of the reads are READs of guests, which session threads answer from the store or from the origin, or hand over.
 * The origin's file is damaged under them, they lose their grant, and their fetches are taken for overdue. Between
 * lives the cache moves to another directory, or fails to.
 *
 * OPERATIONS=n sets their number; SEED=n another sequence.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CacheError, isCacheError } from '../../src/base/errors.ts'
import type { Image } from '../../src/base/image.ts'
import { type CacheMode, cacheModes } from '../../src/cache/modes/cache-mode.ts'
import type { ImageEntry } from '../../src/index/index-database.ts'
import type { Engine } from '../../src/native/addon.ts'
import { CheckedFetches } from '../fixtures/checked-fetches.ts'
import { nextIteration } from '../fixtures/deferred.ts'
import { KernelLanes } from '../fixtures/kernel-lanes.ts'
import { MovingRooms } from '../fixtures/moving-rooms.ts'
import { NativeMemoryOrigin } from '../fixtures/native-memory-origin.ts'
import { forever, type Rooms } from '../fixtures/rooms.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const KiB = 1024
const operations = Number(process.env.OPERATIONS ?? 7200)
const sizes = { a: 40_000 * KiB + 777, b: 3000 * KiB, c: 5, d: 0, e: 256 * KiB }
type Name = keyof typeof sizes
const names = Object.keys(sizes) as Name[]
const zeros = [[64 * KiB, 200 * KiB]] as const

/** An origin that is far, and one that is near, of which readers get their own bytes first. */
const kinds = {
  far: { blockBytes: 4 * KiB, capacityBytes: 16 * 1024 * KiB },
  near: { blockBytes: 16 * KiB, capacityBytes: 40 * 1024 * KiB },
}

/** Sessions that read at once, and the longest READ. */
const lanes = 6
const readBytesMax = 128 * KiB
/** Sets of uses: short periods, so that objects leave them, too. */
const hitSets = { count: 3, periodMs: 400, falsePositives: 0.01 }
/** `minReadRecency` of the lives, in turn. */
const recencies = [0, 1, 0, 0, 2, 0]
/** Of each step: session threads lose their origin, or what they asked for, or a writer damages what they read. */
const troubles = { limit: 0.1, abandon: 0.05, damage: 0.03, flush: 0.05, mode: 0.05 }

/** An image that a guest has open: session threads answer READs of its handle. */
interface Guest {
  readonly image: Image
  readonly handle: bigint
}

/** A READ of a guest. */
interface GuestRead extends Guest {
  readonly offset: number
  readonly length: number
}

/** A cache over an origin that changes, and what must be read from it. */
class World {
  readonly random = seeded(seed)
  readonly counts = {
    ...{ wrong: 0, failed: 0, left: 0, changed: 0, hits: 0, misses: 0, evicted: 0, retired: 0, ahead: 0 },
    /** READs that session threads answered, those that came to TypeScript, and those that a worker left to the next. */
    ...{ native: 0, forwarded: 0, resent: 0 },
    /** Fetches of session threads, and those that were in the store when their claim ended. */
    ...{ fetched: 0, published: 0 },
    /** Switches of the mode, and what its rules forbid. */
    ...{ switches: 0, kept: 0, asked: 0 },
    /** Extents that were not used recently enough, and one of these in a life without that rule. */
    ...{ unfrequented: 0, refusedInVain: 0 },
  }
  readonly #origin: NativeMemoryOrigin
  /** By name and validator. */
  readonly #truth = new Map<string, Buffer>()
  readonly #test: Test
  readonly moving: MovingRooms
  readonly #capacityBytes: number
  #rooms!: Rooms
  #images: readonly ImageEntry[] = []
  /** Held open, with a name or without. */
  readonly #open: Image[] = []
  #fetches!: CheckedFetches
  #lanes!: KernelLanes
  #guests: Guest[] = []
  /** Of this life, by handle. */
  readonly #handles = new Map<bigint, Image>()
  #mode: CacheMode = 'promote'
  /** That have ended. */
  #lives = 0
  /** `minReadRecency` of this life. */
  #recency = 0
  /** Bytes promoted when the mode came to keep nothing; null: it keeps what is fetched. */
  #keptBytes: number | null = null
  /** READs that the last worker left. */
  #unanswered: GuestRead[] = []

  constructor(t: Test, kind: keyof typeof kinds) {
    this.#test = t
    const directory = t.testdir({ one: {}, other: {} })
    const { blockBytes, capacityBytes } = kinds[kind]
    this.#capacityBytes = capacityBytes
    this.moving = new MovingRooms(directory, blockBytes, why => t.fail(why))
    this.#origin = new NativeMemoryOrigin(directory, this.random)
    t.teardown(() => this.#origin.close())
    for (const name of names) this.#replace(name)
    this.#origin.gate = async () => {
      if (this.random() < 0.02) throw new CacheError('origin-failed', 'one in fifty')
      if (this.random() < 0.3) await new Promise(resolve => setImmediate(resolve))
    }
  }

  async start(): Promise<void> {
    // Of each life another: nothing that a reader gets depends on it.
    const minReadRecency = recencies[this.#lives % recencies.length]!
    const hitSet = { type: this.random() < 0.5 ? 'bloom' : 'explicit', ...hitSets } as const
    const place = { directory: null, origin: this.#origin, direct: this.#origin.direct }
    const origin = [{ ...place, minReadRecency, hitSet }]
    this.#recency = minReadRecency
    const capacityBytes = this.#capacityBytes
    const options = { revalidateSeconds: 0, retire: { graceMs: 0 }, readAheadBytesMax: 1024 * KiB, capacityBytes }
    const fetchesOf = (engine: Engine) => (this.#fetches = new CheckedFetches(engine))
    this.#rooms = await this.moving.open({ origin, fetchesOf, ...options, onModes: () => this.#rebind() })
    const { engine, cache } = this.#rooms
    if (cache.modeOfOrigin(this.#origin.url) !== this.#mode) this.#test.fail('a restart keeps the mode')
    if (this.#mode !== 'promote') this.#keptBytes = 0
    const of = (handle: bigint, then: (image: Image) => void) => {
      const image = this.#handles.get(handle)
      if (image) then(image)
    }
    this.#lanes = new KernelLanes(engine, lanes, {
      bufferTouched: (handle, offset, length) => of(handle, image => cache.bufferTouched(image, offset, length)),
      originReadBegun: (handle, offset, length) => of(handle, image => cache.originReadBegun(image, offset, length)),
      originReadDone: (handle, length, ms) => of(handle, image => cache.originReadDone(image, length, ms)),
    })
    this.#origin.grant.limit(lanes)
    await this.#lookUp()
    for (const { image } of this.#images) await this.#openGuest(image)
    await Promise.all(
      this.#unanswered.splice(0).map(({ image, offset, length }) => this.#readAt(image, offset, length)),
    )
  }

  /** Sixteen reads at once, and perhaps another version of an image. */
  async step(): Promise<void> {
    if (this.random() < 0.3) await this.#replaceOne()
    if (this.random() < troubles.limit) this.#origin.grant.limit(between(this.random, 0, lanes))
    if (this.random() < troubles.damage) this.#origin.damage(this.#drawGuest().image)
    if (this.random() < troubles.mode) await this.#switchMode()
    if (this.random() < troubles.flush) void this.#rooms.store.flush() // Its errors would be those of a disk.
    const reads = Array.from({ length: 16 }, () =>
      this.random() < 0.5 ? this.#readAsGuest() : this.#read(this.#draw()),
    )
    if (this.random() < troubles.abandon) this.#lanes.abandon()
    await Promise.all(reads)
  }

  /** Stop; nothing is left of versions without a name. */
  async end(): Promise<void> {
    const { cache } = this.#rooms
    // In the middle of READs: what is not answered is the next worker's.
    const last = Array.from({ length: 2 * lanes }, () => this.#readAsGuest())
    // In the first life at once, before those without a lane can begin; later ones may all be answered by then.
    const turnsMax = this.#lives++ === 0 ? 0 : 3
    for (let turns = between(this.random, 0, turnsMax + 1); turns > 0; turns--) await nextIteration()
    await this.#lanes.stop()
    await Promise.all(last)
    this.#release(this.#open.length)
    for (const { image } of this.#guests.splice(0)) cache.release(image)
    const known = new Set(this.#images.map(({ image }) => image.id))
    // Work that is on its way into a version keeps it for a moment. A look under way may have begun when it was open.
    const isRetired = async () => {
      await cache.retireVersions()
      return cache.capacity().images === known.size
    }
    await until(isRetired, patienceMs, 'the end of versions without a name')
    const files = readdirSync(join(this.moving.directory, 'images'))
    if (!files.every(name => known.has(name))) this.#test.fail(`files of versions without a name: ${files}`)
    const { reads, eviction, retirement, prefetch, promotion } = cache.counters
    this.counts.unfrequented += promotion.droppedBy.recency
    if (this.#recency === 0) this.counts.refusedInVain += promotion.droppedBy.recency
    this.#lookAtMode()
    this.#keptBytes = null
    this.counts.ahead += prefetch.purposes.stream.fetchedBytes
    this.counts.hits += reads.hits
    this.counts.misses += reads.misses
    this.counts.evicted += eviction.objects
    this.counts.retired += retirement.retired
    this.counts.fetched += this.#origin.answered
    this.#origin.answered = 0
    await cache.close()
    this.moving.ending(this.#rooms)
    this.counts.published += this.#fetches.published
    this.#fetches.end()
    if (this.#fetches.offences.length > 0)
      this.#test.fail('fetches of session threads', { found: this.#fetches.offences })
    await this.#rooms.close()
    this.#handles.clear()
  }

  /** Mostly to `promote`, so that the store has something. */
  async #switchMode(): Promise<void> {
    this.#lookAtMode()
    const { cache } = this.#rooms
    this.#keptBytes = null
    const mode = this.random() < 0.7 ? 'promote' : cacheModes[between(this.random, 1, cacheModes.length)]!
    await cache.operations.setMode({ origin: null, image: null }, mode)
    this.#mode = mode
    this.counts.switches++
    if (mode !== 'promote') this.#keptBytes = cache.counters.promotion.promotedBytes
  }

  #lookAtMode(): void {
    if (this.#keptBytes === null) return
    if (this.#rooms.cache.counters.promotion.promotedBytes !== this.#keptBytes) this.counts.kept++
  }

  /** As a transport does. */
  async #rebind(): Promise<void> {
    for (const { image, handle } of [...this.#guests]) {
      const file = await this.#rooms.cache.fileOf(image)
      if (!this.#guests.some(guest => guest.handle === handle)) continue
      if (file) {
        this.#fetches.watch(file)
        this.#lanes.bind(handle, file)
      } else this.#lanes.unbind(handle)
    }
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
    await this.#openGuest(this.#images[at]!.image)
    if (this.random() < 0.7) this.#closeGuest(between(this.random, 1, this.#guests.length))
    void this.#rooms.cache.retireVersions() // Never rejects.
    if (this.random() < 0.5) this.#release(between(this.random, 0, this.#open.length + 1))
  }

  async #openGuest(image: Image): Promise<void> {
    const guest = { image, handle: BigInt(this.#handles.size + 1) }
    const file = await this.#rooms.cache.open(image)
    if (file) {
      this.#fetches.watch(file)
      this.#lanes.bind(guest.handle, file)
    }
    this.#handles.set(guest.handle, image)
    this.#guests.push(guest)
  }

  /** Not that of the first image. */
  #closeGuest(at: number): void {
    for (const { image, handle } of this.#guests.splice(at, 1)) {
      this.#lanes.unbind(handle)
      this.#rooms.cache.release(image)
    }
  }

  #drawGuest(): Guest {
    return this.#guests[this.random() < 0.5 ? 0 : between(this.random, 0, this.#guests.length)]!
  }

  async #readAsGuest(): Promise<void> {
    const { random, counts } = this
    const guest = this.#drawGuest()
    const { image, handle } = guest
    const offset = between(random, 0, image.sizeBytes + 1)
    const length = Math.min(between(random, 1, random() < 0.5 ? 5000 : readBytesMax), image.sizeBytes - offset)
    const { switches } = counts
    const answer = await this.#lanes.read(handle, offset, length)
    const isAnswered = answer !== 'unanswered' && answer !== 'forwarded' && length > 0
    if (isAnswered && this.#mode === 'none' && counts.switches === switches) counts.asked++
    if (answer === 'unanswered') {
      counts.resent++
      this.#unanswered.push({ ...guest, offset, length })
    } else if (answer === 'forwarded') {
      counts.forwarded++
      await this.#readAt(image, offset, length)
    } else {
      counts.native++
      this.#compare(image, offset, length, answer)
    }
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
    const { random } = this
    const offset = between(random, 0, image.sizeBytes + 1)
    const wanted = random() < 0.5 ? between(random, 1, 5000) : between(random, 1, 1024 * KiB)
    await this.#readAt(image, offset, Math.min(wanted, image.sizeBytes - offset))
  }

  #compare(image: Image, offset: number, length: number, bytes: Uint8Array): void {
    const truth = this.#truth.get(`${image.key} ${image.validator}`)!
    if (!truth.subarray(offset, offset + length).equals(bytes)) this.counts.wrong++
  }

  async #readAt(image: Image, offset: number, length: number): Promise<void> {
    const { random, counts } = this
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
      while (random() < 0.3) await nextIteration()
      this.#compare(image, offset, length, bytes)
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
async function run(t: Test, kind: keyof typeof kinds, count: number) {
  const world = new World(t, kind)
  for (let done = 0; done < count; ) {
    await world.start()
    const batch = between(world.random, 100, 2000)
    for (let k = 0; k < batch; k += 16) await world.step()
    done += batch
    await world.end()
  }
  const counts = { ...world.counts, ...world.moving.counts }
  t.comment(counts)
  t.equal(world.counts.wrong, 0)
  t.equal(world.counts.kept, 0, 'nothing is kept in a mode that keeps nothing')
  t.equal(world.counts.asked, 0, 'session threads answer nothing in the mode none')
  t.ok(world.counts.switches > 0)
  t.equal(world.counts.refusedInVain, 0, 'recency 0 promotes always')
  return counts
}

t.test(`${operations} operations give the right bytes (SEED=${seed})`, async t => {
  const counts = await run(t, 'far', operations)
  t.ok(counts.hits > operations / 100 && counts.misses > operations / 100 && counts.evicted > 50, 'everything happened')
  t.ok(counts.unfrequented > 0 || operations < 5000, 'recency had its say')
  t.ok((counts.moves > 0 && counts.failedMoves > 0) || operations < 6000, 'the cache moved')
  t.ok(counts.failed > 0 && counts.left > 0 && counts.changed > 0 && counts.retired > operations / 1000)
  t.ok(counts.native > operations / 100 && counts.forwarded > operations / 100, 'guests read')
  t.ok(counts.fetched > operations / 100, 'session threads asked the origin')
  // Of the others the store took nothing, for want of room.
  t.ok(counts.published > counts.fetched / 10, 'and claimed what they got until the store had it')
  t.ok(counts.resent > 0, 'a worker left reads to the next one')
})

t.test(`${operations / 4} operations over an origin that is near (SEED=${seed})`, async t => {
  const counts = await run(t, 'near', operations / 4)
  t.ok(counts.hits > 0 && counts.misses > 0 && counts.left > 0 && counts.changed > 0)
  t.ok(counts.native > 0 && counts.forwarded > 0 && counts.fetched > 0)
})
