/** However much is read, the cache directory never takes more than its capacity, and every byte is right. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, mountDaemon, place, statusOf, stop } from '../fixtures/daemon.ts'
import { readWithFio, writeVerified } from '../fixtures/fio.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { forEachAtOnce, MountedFile, type Range } from '../fixtures/mounted-file.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { sampleUsage } from '../fixtures/usage-sampler.ts'

const options = { skip: cannotMount }
const [KiB, MiB] = [1024, 1024 ** 2]

/** Ranges that cover a file of that size once, in random order. */
function shuffledRanges(random: () => number, sizeBytes: number, length: number): Range[] {
  const ranges = Array.from({ length: Math.ceil(sizeBytes / length) }, (_, k) => ({ offset: k * length, length }))
  for (let k = ranges.length - 1; k > 0; k--) {
    const other = between(random, 0, k + 1)
    ;[ranges[k], ranges[other]] = [ranges[other]!, ranges[k]!]
  }
  return ranges
}

/** Read a file three times at random, direct. @returns the ranges that were wrong */
async function readThrice(t: Test, file: MountedFile, expected: Buffer, length: number): Promise<Range[]> {
  const wrong: Range[] = []
  for (const pass of [1, 2, 3]) {
    await forEachAtOnce(shuffledRanges(seeded(seed + pass), expected.length, length), 8, async range => {
      const bytes = await file.read(range)
      if (!bytes.equals(expected.subarray(range.offset, range.offset + range.length))) wrong.push(range)
    })
  }
  t.equal(await file.size(), expected.length)
  return wrong
}

const cases = [
  { blockSize: '4KiB', capacityMiB: 16, readBytes: 48 * KiB },
  { blockSize: '4KiB', capacityMiB: 11, readBytes: 12 * KiB },
  { blockSize: '64KiB', capacityMiB: 133, readBytes: 256 * KiB },
]
for (const { blockSize, capacityMiB, readBytes } of cases) {
  const name = `an image four times the capacity, in blocks of ${blockSize} and reads of ${readBytes / KiB} KiB`
  t.test(`${name}: never above capacity, every byte right`, options, async t => {
    t.comment(`SEED=${seed}`)
    const image = { seed, sizeBytes: 4 * capacityMiB * MiB - 4321, dataShare: 0.95 }
    const where = place(t)
    writeSample(join(where.originDirectory, 'a.raw'), image)
    const expected = sampleBytes(image, 0, image.sizeBytes)
    const daemon = await mountDaemon(t, where, '--capacity', `${capacityMiB}MiB`, '--block-size', blockSize)
    const finish = await sampleUsage(t, where.cacheDirectory)
    const file = await MountedFile.open(t, where.mountpoint, 'a.raw')
    const startedMs = performance.now()
    // A local origin may be faster than promotions: what is not taken is not evicted either.
    let status: Awaited<ReturnType<typeof statusOf>>
    do {
      t.same(await readThrice(t, file, expected, readBytes), [])
      status = await statusOf(where)
    } while (status.eviction.bytes <= capacityMiB * MiB && performance.now() - startedMs < 60_000)
    const seconds = (performance.now() - startedMs) / 1000
    await file.close()
    const { eviction, promotion, cache, reads } = status
    t.equal(await stop(daemon), 0)
    const { samples, highestBytes } = await finish()
    t.comment(
      `${samples} samples, at most ${(highestBytes / MiB).toFixed(2)} of ${capacityMiB} MiB; ${seconds.toFixed(1)} s`,
    )
    t.comment(JSON.stringify({ eviction, promotion, cache, reads }))
    t.ok(highestBytes <= capacityMiB * MiB, `${highestBytes} <= ${capacityMiB * MiB}`)
    t.ok(samples > 20, `${samples} samples`)
    t.ok(highestBytes > 0.6 * capacityMiB * MiB, 'the cache was used')
    t.ok(eviction.objects > 0 && eviction.bytes > capacityMiB * MiB, `${eviction.bytes} bytes were evicted`)
  })
}

t.test('readers that verify see no error while objects are evicted under them', options, async t => {
  const where = place(t)
  const sizeBytes = 32 * MiB
  await writeVerified(join(where.originDirectory, 'v.raw'), sizeBytes)
  await mountDaemon(t, where, '--capacity', '16MiB', '--block-size', '4KiB')
  const finish = await sampleUsage(t, where.cacheDirectory)
  const way = { engine: 'libaio', direct: true, depth: 8, jobs: 4, seconds: 10 } as const
  const endMs = performance.now() + 60_000
  let status: Awaited<ReturnType<typeof statusOf>>
  do {
    const { code, error, stderr, ios, iops } = await readWithFio(join(where.mountpoint, 'v.raw'), sizeBytes, way)
    t.match({ code, error, stderr }, { code: 0, error: 0, stderr: '' })
    status = await statusOf(where)
    t.comment(`${ios} reads, ${iops}/s; ${JSON.stringify({ eviction: status.eviction, reads: status.reads })}`)
  } while (status.eviction.objects <= 32 && performance.now() < endMs)
  const { eviction, origin } = status
  t.equal(origin.errors, 0)
  t.ok(eviction.objects > 32, `${eviction.objects} objects were evicted`)
  t.ok((await finish()).highestBytes <= 16 * MiB)
})

t.test('two readers of images three times as large as the cache both get on', options, async t => {
  const [where, capacityMiB, readBytes] = [place(t), 32, 256 * KiB]
  const readers = ['a.raw', 'b.raw'].map((name, k) => {
    const image = { seed: seed + k, sizeBytes: 3 * capacityMiB * MiB + 77, dataShare: 1 }
    writeSample(join(where.originDirectory, name), image)
    return { name, expected: sampleBytes(image, 0, image.sizeBytes), done: 0, wrong: 0, longestMs: 0 }
  })
  await mountDaemon(t, where, '--capacity', `${capacityMiB}MiB`, '--block-size', '4KiB')
  const finish = await sampleUsage(t, where.cacheDirectory)
  const wanted = (2 * readers[0]!.expected.length) / readBytes
  const whenFirstEnded: number[] = []
  // From first to last, twice: what is read again has always just been evicted.
  const read = async (reader: (typeof readers)[number]) => {
    const { name, expected } = reader
    const file = await MountedFile.open(t, where.mountpoint, name)
    const offsets = Array.from({ length: Math.ceil(expected.length / readBytes) }, (_, k) => k * readBytes)
    await forEachAtOnce([...offsets, ...offsets], 4, async offset => {
      const startedMs = performance.now()
      const bytes = await file.read({ offset, length: readBytes })
      reader.longestMs = Math.max(reader.longestMs, performance.now() - startedMs)
      if (!bytes.equals(expected.subarray(offset, offset + readBytes))) reader.wrong++
      reader.done++
    })
    if (whenFirstEnded.length === 0) whenFirstEnded.push(...readers.map(({ done }) => done / wanted))
  }
  // A local origin may be faster than promotions: what is not taken is not evicted either.
  const endMs = performance.now() + 60_000
  let status: Awaited<ReturnType<typeof statusOf>>
  do {
    await Promise.all(readers.map(read))
    status = await statusOf(where)
  } while (status.eviction.bytes <= 2 * capacityMiB * MiB && performance.now() < endMs)
  const { promotion, eviction, origin } = status
  const proxied = 1 - promotion.promotedBytes / origin.bytes
  t.comment(
    `when the first ended: ${whenFirstEnded.map(share => share.toFixed(2))}; ${(100 * proxied).toFixed(1)} % by proxy`,
  )
  t.comment(JSON.stringify({ promotion, eviction, longestMs: readers.map(({ longestMs }) => Math.round(longestMs)) }))
  t.same(
    readers.map(({ wrong }) => wrong),
    [0, 0],
  )
  t.ok(Math.min(...whenFirstEnded) > 0.5, 'neither waits for the other')
  t.ok(Math.max(...readers.map(({ longestMs }) => longestMs)) < 10_000, 'no read hangs')
  t.ok(
    eviction.bytes > 2 * capacityMiB * MiB && eviction.bytes < promotion.promotedBytes,
    'promotion goes on, and nothing is evicted twice',
  )
  t.ok((await finish()).highestBytes <= capacityMiB * MiB)
})
