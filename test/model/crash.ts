/**
 * Power cuts at every named step of promote, commit, evict, drop, reconcile and shutdown: the store's and the index's own
 * code over a disk that loses, tears and reorders what was not synced. After each: right bytes only, no record without its
 * bytes, nothing lost that a flush had made durable, and every orphan reclaimed.
 *
 * RUNS=n crashes per step; SEED=n another sequence.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Cache } from '../../src/cache/cache.ts'
import { RecencyClock } from '../../src/cache/recency-clock.ts'
import { reservedNodeIds } from '../../src/fuse/backend.ts'
import type { Image } from '../../src/image.ts'
import { silentLogger } from '../../src/logger.ts'
import { Store } from '../../src/store/store.ts'
import { CrashingIndex } from '../fixtures/crashing-index.ts'
import { CrashSchedule, FakeDisk } from '../fixtures/fake-disk.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { forever as signal } from '../fixtures/rooms.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'

const runs = Number(process.env.RUNS ?? 6)
const KiB = 1024
const sizes = { a: 3000 * KiB + 100, b: 900 * KiB }

/** Every step there is; a run that meets another one fails the test. */
const steps = [
  'write:before',
  'write:half',
  'write:after',
  'sync:before',
  'sync:after',
  'directory-sync:before',
  'directory-sync:after',
  'record:before',
  'record:after',
  'forget:before',
  'forget:after',
  'punch:before',
  'punch:after',
  'verify',
  'seek',
  'recency:before',
  'recency:after',
  'remove-image:before',
  'remove-image:after',
  'remove',
]

interface World {
  readonly directory: string
  readonly disk: FakeDisk
  readonly origin: MemoryOrigin
  readonly random: () => number
}

/** The rooms of one life of the daemon. */
interface Life {
  readonly index: CrashingIndex
  readonly store: Store
  readonly cache: Cache
  close(): Promise<void>
  stop(): void
}

async function boot(world: World, index: CrashingIndex): Promise<Life> {
  const clock = new RecencyClock(1, () => {})
  const store = await Store.open({
    directory: world.disk,
    blockBytes: 4096,
    capacityBytes: 4096 * KiB,
    index,
    logger: silentLogger,
    tick: () => clock.tick,
    now: () => 0,
  })
  clock.advanceTo(store.latestUse + 1)
  const cache = new Cache({
    origins: [{ directory: null, origin: world.origin }],
    index,
    store,
    logger: silentLogger,
    revalidateSeconds: 1e9,
    reservedNodeIds,
    now: () => 0,
  })
  const close = async () => {
    await cache.close()
    await store.close()
    clock.close()
    await index.close()
  }
  const stop = () => {
    clock.close()
    store.health.close()
  }
  return { index, store, cache, close, stop }
}

async function checkedRead(world: World, life: Life, image: Image): Promise<void> {
  const offset = between(world.random, 0, image.sizeBytes)
  const length = Math.min(between(world.random, 1, 300 * KiB), image.sizeBytes - offset)
  const bytes = await life.cache.read(image, offset, length, { signal })
  if (!world.origin.bytes(image.key, offset, length).equals(bytes))
    throw new Error(`wrong bytes of ${image.key} at ${offset}`)
}

/** What was durable when a flush ended: blocks by image and object, and the generation they had. */
type Durable = Map<string, { image: Image; object: number; blocks: bigint; generation: number }>

async function work(world: World, life: Life, durable: Durable): Promise<void> {
  const reclaimed = life.store.reclaimOrphans()
  const images = await Promise.all(Object.keys(sizes).map(name => life.cache.lookup(null, name, { signal })))
  for (let k = 0; k < 12; k++) {
    await Promise.all(images.map(({ image }) => checkedRead(world, life, image)))
    if (world.random() < 0.3) {
      const held = heldNow(life)
      await life.store.flush()
      // What was published before the flush began and has the same generation after it is durable now. (Blocks that are
      // held and not published may be on their way out.)
      for (const [key, entry] of held) {
        if (life.store.find(entry.image.id)?.generation(entry.object) === entry.generation) durable.set(key, entry)
      }
    }
  }
  await reclaimed
  await life.store.saveRecency()
  if (world.random() < 0.5) await life.close()
}

function heldNow(life: Life): Durable {
  const held: Durable = new Map()
  for (const stored of life.store.images()) {
    for (const object of stored.heldObjects()) {
      const entry = {
        image: stored.image,
        object,
        blocks: stored.residency.resident(object),
        generation: stored.generation(object),
      }
      held.set(stored.lockKey(object), entry)
    }
  }
  return held
}

/** One life that ends at a step, and what the next one finds. @returns whether the step was reached */
async function crashAt(
  step: string,
  occurrence: number,
  run: number,
): Promise<{ reached: boolean; seen: Iterable<string> }> {
  const random = seeded(seed + run * 7919)
  const origin = new MemoryOrigin()
  for (const [name, sizeBytes] of Object.entries(sizes)) origin.put(name, sizeBytes, 5, [[300 * KiB, 500 * KiB]])
  const world: World = {
    directory: mkdtempSync(join(tmpdir(), 'parentfs-crash-')),
    disk: new FakeDisk(random),
    origin,
    random,
  }
  try {
    // A first life leaves something behind: records, and sometimes orphans or a lost data file.
    const before = await boot(world, new CrashingIndex(world.directory, world.disk.schedule))
    await work(world, before, new Map())
    await before.close()
    if (random() < 0.3) world.disk.crash()
    if (random() < 0.3) world.disk.flipBit()
    const rare = /^(remove|directory-sync)/.test(step)
    if (rare || random() < 0.3) await world.disk.remove((await world.disk.names())[0]!)
    if (rare || random() < 0.1) world.disk.open('0123456789abcdef', 8192, 4096)

    const durable: Durable = new Map()
    let stopped!: () => void
    const crash = new Promise<void>(resolve => {
      stopped = resolve
    })
    const schedule = new CrashSchedule({ step, occurrence }, stopped)
    world.disk.schedule = schedule
    const index = new CrashingIndex(world.directory, schedule)
    let life: Life | undefined
    const whole = boot(world, index).then(booted => {
      life = booted
      return work(world, booted, durable)
    })
    await Promise.race([whole, crash])
    const reached = schedule.stopped
    schedule.stop()
    const generations = new Map([...durable].map(([key, entry]) => [key, generationOf(life, entry)]))
    life?.stop()
    await index.crash()
    world.disk.crash()
    world.disk.schedule = new CrashSchedule(null, () => {})

    await inspect(
      world,
      [...durable].filter(([key, entry]) => generations.get(key) === entry.generation).map(([, entry]) => entry),
    )
    return { reached, seen: schedule.seen.keys() }
  } finally {
    rmSync(world.directory, { recursive: true, force: true })
  }
}

function generationOf(life: Life | undefined, entry: { image: Image; object: number }): number | undefined {
  return life?.store.find(entry.image.id)?.generation(entry.object)
}

/** The life after a crash: what is recorded is right, what was durable is there, what nobody records is punched. */
async function inspect(
  world: World,
  durable: readonly { image: Image; object: number; blocks: bigint }[],
): Promise<void> {
  const life = await boot(world, new CrashingIndex(world.directory, world.disk.schedule))
  for (const { image, object, blocks } of durable) {
    const held = life.store.find(image.id)?.held(object) ?? 0n
    if ((held & blocks) !== blocks)
      throw new Error(`${image.key} object ${object}: a flush had made it durable, and it is gone`)
  }
  await life.store.reclaimOrphans()
  for (const stored of life.store.images()) {
    for (const object of [...stored.heldObjects()]) await stored.verify(object, stored.held(object))
  }
  const corrupt = [...life.store.images()].reduce((sum, stored) => sum + stored.corruptBlocks, 0)
  if (corrupt > world.disk.flips) throw new Error(`${corrupt} records without their bytes`)
  const expected = [...heldNow(life).values()].reduce(
    (sum, { image, object }) => sum + (life.store.find(image.id)?.allocatedBytes(object) ?? 0),
    0,
  )
  if (world.disk.allocatedBytes() !== expected)
    throw new Error(`${world.disk.allocatedBytes()} bytes on disk, ${expected} held`)
  const images = await Promise.all(Object.keys(sizes).map(name => life.cache.lookup(null, name, { signal })))
  for (let k = 0; k < 4; k++) await Promise.all(images.map(({ image }) => checkedRead(world, life, image)))
  await life.close()
}

t.test(`${runs} crashes at each step leave nothing wrong (SEED=${seed})`, async t => {
  const seen = new Set<string>()
  for (const step of steps) {
    let reached = 0
    for (let run = 0; run < runs * 3 && reached < runs; run++) {
      // Late occurrences meet a full cache, the first one is always reached.
      const occurrence = run % 3 === 2 || /^(remove|directory-sync)/.test(step) ? 1 : between(seeded(run), 1, 30)
      const outcome = await crashAt(step, occurrence, run).catch(error => {
        throw new Error(`${step} ${occurrence}, run ${run}: ${error.message}`, { cause: error })
      })
      if (outcome.reached) reached++
      for (const name of outcome.seen) seen.add(name)
    }
    t.ok(reached >= runs / 3, `${step}: ${reached} crashes`)
  }
  t.same(
    [...seen].filter(name => !steps.includes(name)),
    [],
    'no step without a crash',
  )
})
