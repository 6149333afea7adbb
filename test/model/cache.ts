/**
 * Seeded random operations on a small cache, against a plain byte array: reads of any length at any offset, many at once,
 * with promotion and eviction racing, readers that leave, an origin that fails, and restarts in between.
 * OPERATIONS=n sets how many; SEED=n another sequence.
 */
import t from 'tap'
import { CacheError, isCacheError } from '../../src/errors.ts'
import type { Image } from '../../src/image.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { forever, openRooms } from '../fixtures/rooms.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'

const KiB = 1024
const operations = Number(process.env.OPERATIONS ?? 20_000)
const sizes = { a: 40_000 * KiB + 777, b: 3000 * KiB, c: 5, d: 0, e: 256 * KiB }

t.test(`${operations} operations give the right bytes (SEED=${seed})`, async t => {
  const random = seeded(seed)
  const origin = new MemoryOrigin()
  for (const [name, sizeBytes] of Object.entries(sizes))
    origin.put(name, sizeBytes, sizeBytes + 1, [[64 * KiB, 200 * KiB]])
  const truth = new Map(Object.entries(sizes).map(([name, size]) => [name, origin.bytes(name, 0, size)]))
  origin.gate = async () => {
    if (random() < 0.02) throw new CacheError('origin-failed', 'one in fifty')
    if (random() < 0.3) await new Promise(resolve => setImmediate(resolve))
  }
  const options = { directory: t.testdir(), origin, capacityBytes: 16 * 1024 * KiB }
  let rooms = await openRooms(options)
  let wrong = 0
  let failed = 0
  let left = 0
  const counts = { hits: 0, misses: 0, evicted: 0 }

  const readOnce = async (image: Image) => {
    const offset = between(random, 0, image.sizeBytes + 1)
    const wanted = random() < 0.5 ? between(random, 1, 5000) : between(random, 1, 1024 * KiB)
    const length = Math.min(wanted, image.sizeBytes - offset)
    const controller = new AbortController()
    if (random() < 0.05) setImmediate(() => controller.abort())
    try {
      const bytes = await rooms.cache.read(image, offset, length, { signal: controller.signal })
      if (
        !truth
          .get(image.key)!
          .subarray(offset, offset + length)
          .equals(bytes)
      )
        wrong++
    } catch (error) {
      if (isCacheError(error, 'aborted')) left++
      else if (isCacheError(error, 'origin-failed')) failed++
      else throw error
    }
  }

  for (let done = 0; done < operations; ) {
    const images = await Promise.all(
      Object.keys(sizes).map(name => rooms.cache.lookup(null, name, { signal: forever })),
    )
    const batch = between(random, 100, 2000)
    for (let k = 0; k < batch; k += 16) {
      await Promise.all(
        Array.from({ length: 16 }, () =>
          readOnce(images[random() < 0.7 ? 0 : between(random, 0, images.length)]!.image),
        ),
      )
    }
    done += batch
    counts.hits += rooms.cache.counters.reads.hits
    counts.misses += rooms.cache.counters.reads.misses
    counts.evicted += rooms.cache.counters.eviction.objects
    await rooms.close()
    rooms = await openRooms(options)
  }
  await rooms.close()
  t.comment({ ...counts, failed, left })
  t.equal(wrong, 0)
  t.ok(counts.hits > operations / 100 && counts.misses > operations / 100 && counts.evicted > 50, 'everything happened')
  t.ok(failed > 0 && left > 0)
})
