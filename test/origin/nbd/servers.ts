/** Real NBD servers as origins: what they agree on, and their failures. */
import { unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import type { Origin } from '../../../src/origin/contract/origin.ts'
import { type NbdOptions, NbdOrigin } from '../../../src/origin/nbd/nbd-origin.ts'
import { openOrigin } from '../../../src/origin/open-origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { randomFrom, type SampleImage, sampleBytes, writeSample } from '../../fixtures/images.ts'
import { noNbdkit, noQemuNbd, startNbdkit, startQemuNbd } from '../../fixtures/nbd-server.ts'

const { signal } = new AbortController()
const sample: SampleImage = { seed: 41, sizeBytes: 3 * 1024 * 1024 + 512, dataShare: 0.5 }

/** The image in a file of its own. */
function written(t: Test): string {
  const path = join(t.testdir(), 'a.img')
  writeSample(path, sample)
  return path
}

function originAt(t: Test, url: string, own: Partial<NbdOptions> = {}): NbdOrigin {
  const origin = new NbdOrigin(url, { concurrencyMax: 16, callMsMax: 30_000, allowMutable: true, ...own })
  t.teardown(() => origin.close())
  return origin
}

const imageOf = async (origin: Origin, key = 'default'): Promise<Image> =>
  identify(await origin.lookup(key, { signal }))

/** Reads at random, many at once, are right, and so are holes. */
async function isServed(t: Test, origin: Origin, key = 'default'): Promise<void> {
  const image = await imageOf(origin, key)
  t.equal(image.sizeBytes, sample.sizeBytes)
  const random = randomFrom(7)
  const read = async () => {
    const offset = Math.floor(random() * sample.sizeBytes)
    const target = new Uint8Array(1 + Math.floor(random() ** 3 * (sample.sizeBytes - offset - 1)))
    await origin.read(image, offset, target, { signal })
    return sampleBytes(sample, offset, target.length).equals(target)
  }
  t.ok((await Promise.all(Array.from({ length: 64 }, read))).every(Boolean), 'many at once')
  for (let k = 0; k < 10; k++) t.ok(await read())
}

/** Stretches follow each other, and holes are zeros. @returns the bytes in holes */
async function holesIn(t: Test, origin: Origin, image: Image): Promise<number> {
  let bytes = 0
  for (let at = 0; at < image.sizeBytes; ) {
    const extent = await origin.extentAt(image, at, { signal })
    if (extent === null) return -1
    if (extent.hole) {
      t.ok(
        sampleBytes(sample, at, extent.end - at).every(byte => byte === 0),
        `${at} to ${extent.end}`,
      )
      bytes += extent.end - at
    }
    t.ok(extent.end > at && extent.end <= image.sizeBytes)
    at = extent.end
  }
  return bytes
}

t.test('nbdkit, on a port and on a socket, with and without structured replies', { skip: noNbdkit }, async t => {
  const path = written(t)
  for (const unix of [false, true]) {
    const server = await startNbdkit(t, ['file', path], { unix })
    const origin = originAt(t, server.url)
    await isServed(t, origin)
    t.ok((await holesIn(t, origin, await imageOf(origin))) > 0, 'holes')
  }
  const plain = originAt(t, (await startNbdkit(t, ['--no-sr', 'file', path])).url)
  await isServed(t, plain)
  t.equal(await plain.extentAt(await imageOf(plain), 0, { signal }), null)
})

t.test('qemu-nbd, on a port and on a socket', { skip: noQemuNbd }, async t => {
  const path = written(t)
  for (const unix of [false, true]) {
    const server = await startQemuNbd(t, ['-r', '-f', 'raw', '-x', 'golden', path], { unix })
    const origin = originAt(t, server.url)
    t.same(await origin.list({ signal }), ['golden'])
    await isServed(t, origin, 'golden')
    t.ok((await holesIn(t, origin, await imageOf(origin, 'golden'))) > 0, 'holes')
    await t.rejects(origin.lookup('other', { signal }), { code: 'not-found' })
    const one = originAt(t, server.url.replace(/\/(\?|$)/, '/golden$1'))
    t.same(await one.list({ signal }), ['golden'])
    await isServed(t, one, 'golden')
  }
})

t.test('a server that takes whole blocks alone, and no more than it says', { skip: noNbdkit }, async t => {
  const path = written(t)
  for (const [min, max] of [
    [512, '64K'],
    [4096, '1M'],
  ] as const) {
    const policy = [`blocksize-minimum=${min}`, `blocksize-maximum=${max}`, 'blocksize-error-policy=error']
    // It refuses the end of an export that is no multiple of its blocks.
    const round = ['--filter=truncate', 'file', path, `round-up=${min}`]
    const server = await startNbdkit(t, ['--filter=blocksize-policy', ...round, ...policy])
    const origin = originAt(t, server.url)
    const image = await imageOf(origin)
    const random = randomFrom(9)
    for (let k = 0; k < 20; k++) {
      const offset = Math.floor(random() * sample.sizeBytes)
      const target = new Uint8Array(1 + Math.floor(random() * (sample.sizeBytes - offset - 1)))
      await origin.read(image, offset, target, { signal })
      t.ok(sampleBytes(sample, offset, target.length).equals(target))
    }
    t.not(await origin.extentAt(image, 70_001, { signal }), null)
  }
})

t.test('errors of the server are its own, until they are over', { skip: noNbdkit }, async t => {
  const path = written(t)
  const trigger = join(t.testdirName, 'broken')
  const faults = ['error-pread=EIO', 'error-pread-rate=100%', `error-pread-file=${trigger}`]
  const origin = originAt(t, (await startNbdkit(t, ['--filter=error', 'file', path, ...faults])).url)
  await isServed(t, origin)
  writeFileSync(trigger, '')
  const image = await imageOf(origin)
  await t.rejects(origin.read(image, 0, new Uint8Array(10), { signal }), { code: 'origin-failed', message: /EIO/ })
  unlinkSync(trigger)
  await isServed(t, origin)
})

t.test('a server that dies during a read and comes back', { skip: noNbdkit }, async t => {
  const path = written(t)
  for (const unix of [false, true]) {
    // Nothing is answered as long as the server lives.
    const server = await startNbdkit(t, ['--filter=delay', 'file', path, 'rdelay=3600'], { unix })
    const quick = await startNbdkit(t, ['file', path], { unix })
    const origin = originAt(t, server.url)
    const image = await imageOf(origin)
    const read = origin.read(image, 0, new Uint8Array(1000), { signal })
    const ended = t.rejects(read, { code: 'origin-unreachable' })
    await origin.extentAt(image, 0, { signal })
    await server.kill()
    await ended
    await t.rejects(origin.lookup('default', { signal }), { code: 'origin-unreachable' })
    const other = originAt(t, quick.url)
    await isServed(t, other)
    await quick.kill()
    await quick.restart()
    // The connection of before may still look alive.
    await isServed(t, openOriginAt(t, quick.url))
    await other.read(await imageOf(other), 0, new Uint8Array(1), { signal }).catch(() => {})
    await isServed(t, other)
  }
})

t.test('a server that takes longer than it may is origin-timeout', { skip: noNbdkit }, async t => {
  const server = await startNbdkit(t, ['--filter=delay', 'memory', '1M', 'rdelay=3600'])
  const image = await imageOf(originAt(t, server.url))
  const origin = originAt(t, server.url, { callMsMax: 2_000 })
  await t.rejects(origin.read(image, 0, new Uint8Array(10), { signal }), { code: 'origin-timeout' })
})

t.test('retries get over a server that is started anew', { skip: noNbdkit }, async t => {
  const path = written(t)
  const server = await startNbdkit(t, ['file', path])
  const origin = openOriginAt(t, server.url)
  await isServed(t, origin)
  await server.kill()
  const read = isServed(t, origin)
  await server.restart()
  await read
})

/** With all its wrappers. */
function openOriginAt(t: Test, url: string): Origin {
  const options = { nbd: { allowMutable: true }, retry: { triesMax: 100 } }
  const origin = openOrigin(url, { addon: noHoles, options })
  t.teardown(() => origin.close())
  return origin
}
