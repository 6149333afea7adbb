/** Whatever is read through a mount, however and whenever, equals what the origin has. */
import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  cannotMount,
  makeComplete,
  mountDaemon,
  type Place,
  place,
  readingAhead,
  statusOf,
  stop,
  transport,
} from '../fixtures/daemon.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { drawRanges, forEachAtOnce, MountedFile } from '../fixtures/mounted-file.ts'
import { seed, seeded } from '../fixtures/seeded.ts'

const options = { skip: cannotMount }
const [KiB, MiB, TiB] = [1024, 1024 ** 2, 1024 ** 4]
/** Random reads of an image at a time. Rooms below the transports have the same ones over the kernel's. */
const randomReads = transport === 'kernel' ? 10_000 : 4_000

/** A web server over the place's images, and the place with its URL. */
async function overHttp(t: Test, where: Place, delayMs: number): Promise<[Place, HttpOriginServer]> {
  const server = await spawnHttpOrigin({ directory: where.originDirectory, delayMs })
  t.teardown(() => server.close())
  return [{ ...where, origin: server.url }, server]
}

/** Random reads of a file, half of them direct, eight at a time: their bytes, and the size meanwhile. */
async function readAtRandom(t: Test, where: Place, name: string, expected: Buffer, start: number): Promise<void> {
  const file = await MountedFile.open(t, where.mountpoint, name)
  const wrong: object[] = []
  await forEachAtOnce(drawRanges(seeded(start), expected.length, randomReads), 8, async (range, k) => {
    const kind = k % 2 === 0 ? 'direct' : 'buffered'
    const bytes = await file.read(range, kind)
    if (!bytes.equals(expected.subarray(range.offset, range.offset + range.length))) wrong.push({ ...range, kind, k })
    if (k % 50 === 0 && (await file.size()) !== expected.length) wrong.push({ size: await file.size(), k })
  })
  t.same(wrong, [])
  t.equal(await file.size(), expected.length)
  await file.close()
}

/** Direct reads of any length and place: the kernel would ask for the alignment of a disk. */
const throughUs = ['--no-passthrough', ...readingAhead]

/** Names count as fresh for longer than any test takes: nothing is asked for another reason than a read. */
const askingForBytesAlone = [...throughUs, '--revalidate', '1d']

const origins = [
  { scheme: 'http', blockSize: '64KiB' },
  { scheme: 'file', blockSize: '4KiB' },
]
for (const { scheme, blockSize } of origins) {
  t.test(`${randomReads} random reads over ${scheme}: right when cold, warm and restarted`, options, async t => {
    t.comment(`SEED=${seed}`)
    const image = { seed, sizeBytes: 72 * MiB + 12_345 }
    const expected = sampleBytes(image, 0, image.sizeBytes)
    const directory = place(t)
    writeSample(join(directory.originDirectory, 'a.raw'), image)
    const [remote, server] = await overHttp(t, directory, 2)
    const where = scheme === 'http' ? remote : directory

    const first = await mountDaemon(t, where, '--block-size', blockSize, ...askingForBytesAlone)
    await readAtRandom(t, where, 'a.raw', expected, seed)
    await makeComplete(where, 'a.raw')
    const cold = await statusOf(where)
    t.equal(cold.origin.errors, 0)
    t.ok(cold.reads.misses > 100, `${cold.reads.misses} misses`)

    await readAtRandom(t, where, 'a.raw', expected, seed + 1)
    const warm = await statusOf(where)
    t.equal(warm.reads.misses, cold.reads.misses, 'no misses once it is complete')
    t.equal(warm.origin.requests, cold.origin.requests)
    t.equal(await stop(first), 0)

    await server.reset()
    await mountDaemon(t, where, '--block-size', blockSize, ...askingForBytesAlone)
    t.same(readdirSync(where.mountpoint), ['a.raw'])
    t.equal(statSync(join(where.mountpoint, 'a.raw')).size, image.sizeBytes)
    await readAtRandom(t, where, 'a.raw', expected, seed + 2)
    t.ok(readFileSync(join(where.mountpoint, 'a.raw')).equals(expected))
    t.match(await statusOf(where), { origin: { requests: 0, bytes: 0 }, reads: { misses: 0 } })
    t.equal((await server.counters()).requests, 0, 'a restart asks the origin nothing')
  })
}

t.test('images of odd sizes, and an empty one, end where they end', options, async t => {
  const where = place(t)
  const sizes = [0, 1, 511, 513, 4 * KiB - 1, 4 * KiB, 4 * KiB + 1, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1]
  sizes.push(1 * MiB + 1, 4 * MiB - 1, 4 * MiB, 4 * MiB + 1, 8 * MiB - 4095)
  const imageOf = (sizeBytes: number) => ({ seed: seed + sizeBytes, sizeBytes, dataShare: 1 })
  for (const size of sizes) writeSample(join(where.originDirectory, `${size}.raw`), imageOf(size))
  const bytesOf = (size: number) => sampleBytes(imageOf(size), 0, size)
  const [remote] = await overHttp(t, where, 0)
  for (const place of [where, { ...remote, cacheDirectory: `${where.cacheDirectory}-http` }]) {
    const daemon = await mountDaemon(t, place, ...throughUs)
    for (const pass of ['cold', 'warm']) {
      const wrong: object[] = []
      for (const size of sizes) wrong.push(...(await wrongEnds(t, place.mountpoint, size, bytesOf(size))))
      t.same(wrong, [], pass)
    }
    t.equal(await stop(daemon), 0)
  }
})

/** Read up to, over and past the end of `SIZE.raw`. @returns what was wrong */
async function wrongEnds(t: Test, directory: string, size: number, expected: Buffer): Promise<object[]> {
  const file = await MountedFile.open(t, directory, `${size}.raw`)
  const wrong: object[] = []
  for (const kind of ['direct', 'buffered'] as const) {
    for (const offset of [0, size - 1, size - 513, size, size + 1, size + 64 * KiB].filter(offset => offset >= 0)) {
      for (const length of [1, 512, 4 * KiB + 1, 1 * MiB]) {
        const bytes = await file.read({ offset, length }, kind)
        if (!bytes.equals(expected.subarray(offset, offset + length))) wrong.push({ size, kind, offset, length })
      }
    }
  }
  if ((await file.size()) !== size) wrong.push({ size, seen: await file.size() })
  if (!readFileSync(join(directory, `${size}.raw`)).equals(expected)) wrong.push({ size, whole: true })
  await file.close()
  return wrong
}

t.test('a sparse image of 3 TiB is read at its far end, and again after a restart', options, async t => {
  const where = place(t)
  const size = 3 * TiB + 4097
  const text = Buffer.from('the far end of it')
  const spots = [0, 2 ** 32 - 5, 2 ** 41 - 7, size - text.length]
  writeFileSync(join(where.originDirectory, 'big.raw'), '')
  const fd = openSync(join(where.originDirectory, 'big.raw'), 'r+')
  ftruncateSync(fd, size)
  for (const spot of spots) writeSync(fd, text, 0, text.length, spot)
  closeSync(fd)
  for (const pass of ['cold', 'restarted']) {
    const startedMs = performance.now()
    const daemon = await mountDaemon(t, where, ...throughUs)
    t.comment(`${pass}: mounted after ${Math.round(performance.now() - startedMs)} ms`)
    const file = await MountedFile.open(t, where.mountpoint, 'big.raw')
    for (const kind of ['direct', 'buffered'] as const) {
      for (const offset of spots) t.ok((await file.read({ offset, length: text.length }, kind)).equals(text))
      t.ok(
        (await file.read({ offset: size - MiB, length: 2 * MiB }, kind)).equals(endOf(text, MiB)),
        `${pass}, ${kind}`,
      )
      t.equal((await file.read({ offset: size, length: 100 }, kind)).length, 0)
    }
    t.equal(await file.size(), size)
    await file.close()
    if (pass === 'restarted') t.match(await statusOf(where), { origin: { requests: 0 }, reads: { misses: 0 } })
    t.equal(await stop(daemon), 0)
  }
})

/** Zeros that end with `text`. */
function endOf(text: Buffer, length: number): Buffer {
  return Buffer.concat([Buffer.alloc(length - text.length), text])
}
