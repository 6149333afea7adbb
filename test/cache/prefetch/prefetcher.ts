import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import type { Image } from '../../../src/base/image.ts'
import type { Fetcher } from '../../../src/cache/fetch/fetcher.ts'
import { readAroundChoices, readAroundEarnedShare, uncachedRunBytesMin } from '../../../src/cache/fetch/limits.ts'
import { Prefetcher } from '../../../src/cache/prefetch/prefetcher.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'
import { nextIteration } from '../../fixtures/deferred.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever, openRooms, type Rooms, type RoomsOptions, slowTime } from '../../fixtures/rooms.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const signal = forever
const [KiB, MiB] = [1024, 1024 ** 2]

interface World {
  readonly rooms: Rooms
  readonly origin: MemoryOrigin
  readonly image: Image
  /** Read, and compare. */
  read(offset: number, length: number): Promise<void>
}

async function openWorld(t: Test, sizeBytes: number, more: Partial<RoomsOptions> = {}): Promise<World> {
  const origin = new MemoryOrigin()
  origin.put('a', sizeBytes)
  const rooms = await openRooms({
    ...{ directory: t.testdir(), origin, blockBytes: 64 * KiB, capacityBytes: 512 * MiB, readAheadBytesMax: 16 * MiB },
    now: slowTime,
    ...more,
  })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const read = async (offset: number, length: number) => {
    const bytes = await rooms.cache.read(image, offset, length, { signal })
    if (!origin.bytes('a', offset, length).equals(bytes)) t.fail(`wrong bytes at ${offset}`)
  }
  return { rooms, origin, image, read }
}

/** Nothing is fetched or promoted any more. */
function settled({ cache }: Rooms): Promise<void> {
  return until(
    () => cache.counters.inflightFetches === 0 && cache.counters.prefetch.bytes === 0,
    patienceMs,
    'the end of all fetches',
  )
}

t.test('a sequential reader waits a few times only, and nothing is fetched twice', async t => {
  const { rooms, origin, image, read } = await openWorld(t, 48 * MiB)
  for (let at = 0; at < image.sizeBytes; at += 128 * KiB) {
    await read(at, 128 * KiB)
    await settled(rooms) // The origin is as quick as can be.
  }
  const { reads, prefetch } = rooms.cache.counters
  t.ok(reads.misses < 6, `${reads.misses} reads waited`)
  t.equal(prefetch.purposes.stream.fetchedBytes, prefetch.purposes.stream.readBytes)
  const fetched = origin.requests.map(line => Number(line.split(' ')[3] ?? 0)).reduce((a, b) => a + b)
  t.equal(fetched, image.sizeBytes)
  t.equal(rooms.cache.residence(image).residentBytes, image.sizeBytes)
  await rooms.close()
})

t.test('whoever wants what is being fetched ahead joins it', async t => {
  const { rooms, origin, read } = await openWorld(t, 8 * MiB)
  const block = 64 * KiB
  for (let k = 0; k < 7; k++) await read(k * block, 4 * KiB)
  await settled(rooms)
  let open: () => void = () => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  origin.gate = () => opened
  const eighth = read(7 * block, 4 * KiB)
  await until(() => rooms.cache.counters.prefetch.bytes > 0, patienceMs, 'read-prefetch')
  const before = origin.reads
  const ninth = read(8 * block, 4 * block)
  await until(() => origin.reads > before, patienceMs, 'more of it: the reader who joined shows that it is of use')
  const log = origin.requests.slice(1).map(line => Number(line.split(' ')[2]))
  t.equal(new Set(log).size, log.length, 'each place once')
  open()
  await Promise.all([eighth, ninth])
  await settled(rooms)
  await rooms.close()
})

t.test('whoever joined what then fails has it fetched again', async t => {
  const { rooms, origin, read } = await openWorld(t, 8 * MiB)
  const block = 64 * KiB
  for (let k = 0; k < 7; k++) await read(k * block, 4 * KiB)
  await settled(rooms)
  let fail: () => void = () => {}
  const failed = new Promise<void>((_, reject) => {
    fail = () => reject(new CacheError('origin-failed', 'cut'))
  })
  failed.catch(() => {})
  // Demanded bytes come, bytes fetched ahead do not.
  let demanded = 0
  origin.gate = (_key, offset) => (offset === 7 * block || demanded > 0 ? Promise.resolve() : failed)
  await read(7 * block, 4 * KiB)
  const ninth = read(8 * block, 4 * KiB)
  demanded++
  fail()
  await ninth
  await settled(rooms)
  await rooms.close()
})

t.test(
  'where there is no room, readers take what is fetched ahead from memory, and small steps do not fetch a block again',
  async t => {
    const { rooms, origin, image, read } = await openWorld(t, 8 * MiB)
    rooms.store.capacity.resize(2 * MiB) // As much as is kept back.
    for (let at = 0; at < image.sizeBytes; at += 16 * KiB) await read(at, 16 * KiB)
    await settled(rooms)
    const { prefetch, promotion } = rooms.cache.counters
    t.ok(
      prefetch.purposes.stream.fetchedBytes > 4 * MiB,
      `${prefetch.purposes.stream.fetchedBytes} bytes were fetched ahead`,
    )
    t.equal(promotion.promotedBytes, 0)
    t.ok(promotion.droppedBy['no-room'] > 0)
    const fetched = origin.requests.map(line => Number(line.split(' ')[3] ?? 0)).reduce((a, b) => a + b)
    t.equal(fetched, image.sizeBytes, 'each byte was fetched once')
    await rooms.close()
  },
)

t.test('what a long stream has on the shelf is found by a read that comes here, and is not fetched again', async t => {
  const { rooms, origin, image, read } = await openWorld(t, uncachedRunBytesMin + 28 * MiB)
  while (rooms.store.capacity.reserve(MiB)) {} // Nothing else is stored.
  for (let at = 0; at < uncachedRunBytesMin + 16 * MiB; at += 2 * MiB) await read(at, 2 * MiB)
  for (let at = uncachedRunBytesMin + 16 * MiB; at < image.sizeBytes; at += 512 * KiB) {
    // All that is under way has come, and the store has taken nothing of it.
    await settled(rooms)
    await read(at, 512 * KiB)
  }
  const { prefetch, promotion } = rooms.cache.counters
  t.ok(promotion.droppedBy['no-room'] > 0)
  const fetched = origin.requests.map(line => Number(line.split(' ')[3] ?? 0)).reduce((a, b) => a + b)
  t.equal(fetched, image.sizeBytes, 'each byte was fetched once')
  t.equal(prefetch.purposes.stream.unreadBytes, 0)
  t.ok(prefetch.purposes.stream.readBytes > 8 * MiB, `${prefetch.purposes.stream.readBytes} bytes were foreseen`)
  await rooms.close()
})

t.test('a stream bypasses the page cache from the run on at which it is long', t => {
  const stored = {
    geometry: { blockBytes: 64 * KiB, sizeBytes: 256 * MiB },
    held: () => 0n,
  } as unknown as StoredImage
  const asked: { bytes: number; isPassing: boolean }[] = []
  const fetcher = { demanded: 0, lacking: (_: unknown, _object: number, blocks: bigint) => blocks }
  const prefetcher = new Prefetcher({
    fetcher: fetcher as unknown as Fetcher,
    requestsMax: () => 1,
    hasRoom: (_stored, bytes, isPassing) => {
      asked.push({ bytes, isPassing })
      return false
    },
    pathOf: () => ({ bdpBytes: 0, bytesPerSecond: 0, bytesPerWait: 0, inFlightBytes: 0 }),
    readAroundOf: () => readAroundChoices.balanced,
    windowBytesMax: () => 32 * MiB,
    onLeft: () => {},
    onBlocks: () => {},
  })
  const read = (offset: number) => {
    asked.length = 0
    prefetcher.onRead(stored, { offset, length: MiB, stalled: true, missed: true })
    return asked.some(each => each.isPassing)
  }
  const place = (offset: number) => ({ object: Math.floor(offset / (4 * MiB)), first: (offset / (64 * KiB)) % 64 })
  for (let at = 0; at < uncachedRunBytesMin - MiB; at += MiB) {
    t.equal(read(at), false, `${at / MiB} MiB`)
    t.equal(prefetcher.isPassing(stored, place(at)), false)
  }
  t.equal(read(uncachedRunBytesMin - MiB), true)
  t.equal(prefetcher.isPassing(stored, place(uncachedRunBytesMin - MiB)), true)
  prefetcher.close()
  t.end()
})

t.test('of a server that works long on each request, a long stream asks for more at once', async t => {
  const stored = {
    geometry: { blockBytes: 64 * KiB, sizeBytes: 256 * MiB },
    held: () => 0n,
    claims: { release: () => {} },
  } as unknown as StoredImage
  const requests: number[] = []
  const fetcher = {
    demanded: 0,
    lacking: (_: unknown, _object: number, blocks: bigint) => blocks,
    claimAhead: (_: unknown, _object: number, blocks: bigint) => blocks,
    fetchAhead: async (_: unknown, { run }: { readonly run: { readonly count: number } }) =>
      void requests.push(run.count * 64 * KiB),
  }
  // What such a server shows as long as it is asked for 256 KiB at a time, each for 10 ms.
  const path = { bdpBytes: 256 * KiB, bytesPerSecond: 25 * MiB, bytesPerWait: 0, inFlightBytes: 0 }
  const prefetcher = new Prefetcher({
    fetcher: fetcher as unknown as Fetcher,
    requestsMax: () => 16,
    hasRoom: () => true,
    pathOf: () => path,
    readAroundOf: () => readAroundChoices.balanced,
    windowBytesMax: () => 32 * MiB,
    onLeft: () => {},
    onBlocks: () => {},
  })
  for (let offset = 0; offset < 32 * MiB; offset += 128 * KiB) {
    prefetcher.onRead(stored, { offset, length: 128 * KiB, stalled: true, missed: false })
    await nextIteration()
  }
  t.comment(`${requests.map(bytes => bytes / KiB)}`)
  t.ok(requests.length <= 60, `${requests.length} requests`)
  t.equal(Math.max(...requests), 2 * MiB, 'as much as comes in a tenth of a second')
  prefetcher.close()
})

t.test(`random reads cost their covering blocks only (SEED=${seed})`, async t => {
  const { rooms, origin, image, read } = await openWorld(t, 256 * MiB)
  const random = seeded(seed)
  const blocks = new Set<number>()
  for (let k = 0; k < 300; k++) {
    const block = between(random, 0, image.sizeBytes / (64 * KiB))
    blocks.add(block)
    await read(block * 64 * KiB + between(random, 0, 15) * 4 * KiB, 4 * KiB)
  }
  await settled(rooms)
  const fetched = origin.requests.map(line => Number(line.split(' ')[3] ?? 0)).reduce((a, b) => a + b)
  t.ok(fetched <= blocks.size * 64 * KiB * 1.05, `${fetched} bytes for ${blocks.size} blocks`)
  await rooms.close()
})

t.test('what is fetched ahead and never read is counted, and kept', async t => {
  const { rooms, image, read } = await openWorld(t, 8 * MiB)
  for (let at = 0; at < 2 * MiB; at += 64 * KiB) await read(at, 64 * KiB)
  await settled(rooms)
  await rooms.cache.close()
  const { purposes, bufferedBytes: shelvedBytes } = rooms.cache.counters.prefetch
  const { stream } = purposes
  t.ok(stream.unreadBytes > 0 && stream.readBytes > 0)
  t.equal(stream.unreadBytes + stream.readBytes, stream.fetchedBytes)
  t.equal(shelvedBytes, 0)
  t.ok(rooms.cache.residence(image).residentBytes >= 2 * MiB + stream.unreadBytes)
  await rooms.close()
})

/** A prefetcher over a path that the test sets. @returns the bytes fetched ahead */
function prefetching(path: { bytesPerWait: number; inFlightBytes: number }) {
  const fetched: number[] = []
  const stored = { geometry: { blockBytes: 64 * KiB, sizeBytes: 16 * 1024 * MiB } } as unknown as StoredImage
  const prefetcher = new Prefetcher({
    fetcher: {
      demanded: 1,
      lacking: (_stored: StoredImage, _object: number, blocks: bigint) => blocks,
      claimAhead: (_stored: StoredImage, _object: number, blocks: bigint) => blocks,
      fetchAhead: async (_stored: StoredImage, { run }: { run: { count: number } }) => {
        fetched.push(run.count * 64 * KiB)
      },
    } as unknown as Fetcher,
    ...{ requestsMax: () => 16, hasRoom: () => true, windowBytesMax: () => 32 * MiB },
    pathOf: () => ({ bdpBytes: 0, bytesPerSecond: 0, ...path }),
    readAroundOf: () => readAroundChoices.balanced,
    ...{ onLeft: () => {}, onBlocks: () => {} },
  })
  const random = seeded(seed)
  /** Misses of single blocks at random places of 128 MiB in 16 GiB: a cluster, and no stream. */
  const miss = (count: number) => {
    for (let k = 0; k < count; k++) {
      const offset = between(random, 0, 2048) * 64 * KiB
      prefetcher.onRead(stored, { offset, length: 4 * KiB, stalled: true, missed: true })
    }
  }
  const fetchedBytes = () => fetched.reduce((sum, bytes) => sum + bytes, 0)
  return { prefetcher, miss, fetchedBytes }
}

t.test(`in a storm nothing is fetched around misses, and before and after it is (SEED=${seed})`, async t => {
  const path = { bytesPerWait: 1 * MiB, inFlightBytes: 64 * KiB }
  const { prefetcher, miss, fetchedBytes } = prefetching(path)
  miss(80) // Those before the cluster shows count, too.
  const before = fetchedBytes()
  t.ok(before > 0)
  path.inFlightBytes = 2 * MiB
  miss(500)
  for (let k = 0; k < 50; k++) await nextIteration() // Those under way end.
  t.equal(fetchedBytes(), before)
  const { busy, overBudget } = prefetcher.counters.readAround
  t.ok(busy > 400, `${busy} misses had no neighbours for that`)
  t.equal(overBudget, 0)
  path.inFlightBytes = 64 * KiB
  miss(10)
  t.ok(fetchedBytes() > before)
})

t.test('what waits in the queue when a storm begins is given up', async t => {
  const path = { bytesPerWait: 1 * MiB, inFlightBytes: 64 * KiB }
  const { miss, fetchedBytes } = prefetching(path)
  miss(200)
  const before = fetchedBytes()
  path.inFlightBytes = 64 * MiB
  for (let k = 0; k < 50; k++) await nextIteration() // Those under way end, and let the next ones begin.
  t.equal(fetchedBytes(), before)
})

t.test(`of a cluster in which no neighbour is ever read, the start of a budget is fetched (SEED=${seed})`, async t => {
  const { prefetcher, miss, fetchedBytes } = prefetching({ bytesPerWait: 1 * MiB, inFlightBytes: 64 * KiB })
  for (let k = 0; k < 400; k++) {
    miss(5)
    await nextIteration()
  }
  const most = readAroundChoices.balanced.startBytes + 2000 * 64 * KiB * readAroundEarnedShare + 2 * MiB
  t.ok(fetchedBytes() <= most, `${fetchedBytes()} of ${most} bytes`)
  t.ok(prefetcher.counters.readAround.overBudget > 0)
})
