/** Long streams: answered from memory while their bytes go to the disk, past the page cache, with evictions racing. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { leftBehindBytes } from '../../src/cache/fetch/limits.ts'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import {
  cannotMount,
  mountDaemon,
  patienceMs,
  place,
  readingAhead,
  statusOf,
  stop,
  transport,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { type SampleImage, sampleBytes, writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { seed } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 ** 2
/** From here on a stream counts as long, and a bit more. */
const longFrom = leftBehindBytes + 16 * MiB

t.test(
  'a long stream is answered natively, fetches each byte once, and leaves its bytes on the disk alone',
  { skip: cannotMount || (transport === 'kernel' ? false : 'no native reads over fuse-native') },
  async t => {
    const where = place(t)
    const image: SampleImage = { seed: 3, sizeBytes: longFrom + 80 * MiB + 777, dataShare: 0.9 }
    const [source, target] = [join(where.originDirectory, 'a.raw'), join(where.mountpoint, 'a.raw')]
    writeSample(source, image)
    const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 2, bytesPerSecond: 60 * MiB })
    t.teardown(() => origin.close())
    const daemon = await mountDaemon(t, { ...where, origin: origin.url }, ...readingAhead, '--no-passthrough')
    const settled = async () => (await statusOf(where)).gauges.inflightFetches === 0

    await sameDirectly(target, source, 0, longFrom / MiB)
    await until(settled, patienceMs, 'the end of all fetches')
    const images = join(where.cacheDirectory, 'images')
    const data = join(images, readdirSync(images)[0]!)
    const residentBytes = async () => Number((await run('fincore', '-b', '-n', '-o', 'RES', data)).toString())
    await run('sync', data)
    await run('dd', `if=${data}`, 'iflag=nocache', 'count=0', 'status=none')
    const keepsPages = (await residentBytes()) > 0

    await sameDirectly(target, source, longFrom / MiB)
    const { reads, prefetch, latencies } = await statusOf(where)
    await until(settled, patienceMs, 'the end of all fetches')
    const natively = latencies.memory.counts.reduce((sum, count) => sum + count)
    t.ok(natively > reads.misses, `${natively} reads were answered natively, ${reads.misses} waited`)
    t.ok((await origin.counters()).bytes < image.sizeBytes + 2 * MiB, 'each byte was fetched once')
    t.ok(
      prefetch.purposes.stream.readBytes > 0.9 * image.sizeBytes,
      'and all that was fetched ahead is known to be read',
    )
    if (keepsPages) t.pass('pages', { skip: 'this file system keeps its pages' })
    // Bytes that were fetched ahead of the first part are read from the disk.
    else t.ok((await residentBytes()) < 32 * MiB, `${await residentBytes()} bytes in the page cache`)
    // The same from the disk.
    await sameDirectly(target, source)
    t.match(await statusOf(where), { images: [{ complete: true }] })
    t.equal(await stop(daemon), 0)
  },
)

t.test(
  `streams, random readers and evictions race, and every byte is right (SEED=${seed})`,
  { skip: cannotMount },
  async t => {
    const where = place(t)
    const image: SampleImage = { seed: 4, sizeBytes: 128 * MiB + 4096, dataShare: 0.9 }
    const [source, target] = [join(where.originDirectory, 'a.raw'), join(where.mountpoint, 'a.raw')]
    writeSample(source, image)
    const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 1 })
    t.teardown(() => origin.close())
    const small = ['--capacity', '64MiB', '--block-size', '32KiB']
    const daemon = await mountDaemon(t, { ...where, origin: origin.url }, ...readingAhead, ...small)
    const bytes = sampleBytes(image, 0, image.sizeBytes)
    const readers = new CheckingReaders({
      ...{ mountpoint: where.mountpoint, images: new Map([['a.raw', [bytes]]]), count: 2, seed },
    })
    for (let round = 0; round < 2; round++) {
      await Promise.all([sameDirectly(target, source), sameDirectly(target, source, 40), run('cmp', source, target)])
    }
    const { reads, wrongReads, failed } = await readers.stop()
    t.same({ wrongReads, failed }, { wrongReads: 0, failed: 0 })
    t.ok(reads > 100, `${reads} random reads`)
    const { eviction } = await statusOf(where)
    t.ok(eviction.bytes > 64 * MiB, `${eviction.bytes} bytes were evicted meanwhile`)
    t.equal(await stop(daemon), 0)
  },
)

/** Compare by reads of 128 KiB past the page cache, from `skip` MiB on, `count` of them or to the end. */
async function sameDirectly(target: string, source: string, skip = 0, count: number | null = null): Promise<void> {
  const part = `skip=${skip * MiB} ${count ? `count=${count * MiB}` : ''} iflag=direct,skip_bytes,count_bytes`
  const bytes = count ? `-n ${count * MiB}` : ''
  await run('sh', '-c', `dd if="${target}" bs=128k ${part} status=none | cmp -i 0:${skip * MiB} ${bytes} - "${source}"`)
}
