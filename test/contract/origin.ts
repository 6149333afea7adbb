/**
 * Contract of every Origin, and of every wrapper around one.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Image, identify } from '../../src/base/image.ts'
import { digestFileBytesMax } from '../../src/base/limits.ts'
import type { Origin } from '../../src/origin/contract/origin.ts'
import { randomFrom, type SampleImage, sampleBytes, writeSample } from '../fixtures/images.ts'

/** Names that must survive percent-encoding, HTML and JSON. */
const oddNames = [
  'with space.img',
  'ü & <b>.img',
  'a%20b.img',
  '#x?y=1.img',
  '+plus:colon.img',
  'quo\'te".img',
  '.hidden',
]

const big: SampleImage = { seed: 11, sizeBytes: 3 * 1024 * 1024 + 777 }

export interface ContractOptions {
  readonly skip?: string | false
  readonly digests?: boolean | 'given'
  readonly times?: boolean
  readonly namesMd5?: boolean
}

/**
 * Run the suite.
 * @param make gives an Origin with the files of `directory` as its images; it ends its parts in a teardown of `t`
 * @param skip the reason why it cannot run here, or false
 * @param digests true when it reads digests beside images, `given` when its settings have one of each
 * @param times false when it has no times of images
 * @param namesMd5 the server names the MD5 of its objects
 */
export function originContract(
  name: string,
  make: (directory: string, t: Test) => Promise<Origin>,
  { skip = false, digests: hasDigests = true, times = true, namesMd5 = false }: ContractOptions = {},
): void {
  t.test(`${name} keeps the contract of an origin`, { skip }, async t => {
    const directory = t.testdir()
    writeSample(join(directory, 'big.img'), big)
    writeSample(join(directory, 'odd'), { seed: 5, sizeBytes: 12_345 })
    writeFileSync(join(directory, 'empty.img'), '')
    mkdirSync(join(directory, 'directory'))
    for (const odd of oddNames) writeFileSync(join(directory, odd), `this is ${odd}`)
    // Of what was written in this second, no web server could tell it from what comes next: lookups would wait.
    for (const name of ['big.img', 'odd', 'empty.img', ...oddNames])
      utimesSync(join(directory, name), 1_600_000_000, 1_600_000_000)
    const origin = await make(directory, t)
    t.teardown(() => origin.close())
    const context: Context = { origin, directory, times, namesMd5, signal: new AbortController().signal }

    await t.test('names', async t => await names(t, context))
    await t.test('reads', async t => await reads(t, context))
    await t.test('aborted callers', async t => await aborted(t, context))
    await t.test('changed images', async t => await changed(t, context))
    await t.test('extents', async t => await extents(t, context))
    await t.test('digests', async t => {
      if (hasDigests === 'given') await givenDigests(t, context)
      else await (hasDigests ? digests(t, context) : noDigests(t, context))
    })
    await t.test('closing', async t => await closing(t, context))
  })
}

interface Context {
  readonly origin: Origin
  readonly directory: string
  readonly times: boolean
  readonly namesMd5: boolean
  readonly signal: AbortSignal
}

async function imageOf({ origin, signal }: Context, key: string): Promise<Image> {
  return identify(await origin.lookup(key, { signal }))
}

async function names(t: Test, context: Context): Promise<void> {
  const { origin, signal, directory, times } = context

  await t.test('a lookup tells size, key and origin, and the same version each time', async t => {
    const facts = await origin.lookup('big.img', { signal })
    t.match(facts, { origin: origin.url, key: 'big.img', sizeBytes: big.sizeBytes })
    t.equal(facts.modifiedMs > 0, times)
    t.not(facts.validator, '')
    t.same(await origin.lookup('big.img', { signal }), facts)
  })

  await t.test('an empty image is an image', async t => {
    t.equal((await origin.lookup('empty.img', { signal })).sizeBytes, 0)
  })

  await t.test('a name that is not there, or cannot be one, is not-found', async t => {
    const impossible = [
      '',
      '.',
      '..',
      '../big.img',
      'directory/../big.img',
      '/big.img',
      'big.img\0',
      'x'.repeat(256),
      '\ud800',
    ]
    for (const name of ['missing.img', 'directory', 'BIG.IMG', ...impossible]) {
      await t.rejects(origin.lookup(name, { signal }), { code: 'not-found' }, JSON.stringify(name))
    }
  })

  await t.test('a listing has every image and nothing else, and each can be looked up and read', async t => {
    const listed = await origin.list({ signal })
    const expected = ['big.img', 'empty.img', 'odd', ...oddNames.filter(name => name !== '.hidden')]
    if (listed !== null) {
      // Servers do not show hidden files; a directory as origin does.
      t.same(listed.filter(name => name !== '.hidden').sort(), expected.sort())
    }
    for (const name of expected) {
      const image = await imageOf(context, name)
      const target = new Uint8Array(image.sizeBytes)
      await origin.read(image, 0, target, { signal })
      t.ok(readFileSync(join(directory, name)).equals(target), name)
    }
  })
}

async function reads(t: Test, context: Context): Promise<void> {
  const { origin, signal } = context
  const image = await imageOf(context, 'big.img')
  const mustBeRight = async (offset: number, length: number) => {
    const target = new Uint8Array(length).fill(0xa5)
    // A signal of its own: each listener on a shared one makes all the others slower.
    await origin.read(image, offset, target, { signal: new AbortController().signal })
    return sampleBytes(big, offset, length).equals(target)
  }

  await t.test('a read at any place fills its target exactly', async t => {
    const seed = 20_240
    const random = randomFrom(seed)
    for (let k = 0; k < 60; k++) {
      const offset = Math.floor(random() * big.sizeBytes)
      const length = 1 + Math.floor(random() ** 4 * (big.sizeBytes - offset - 1))
      t.ok(await mustBeRight(offset, length), `seed ${seed}: ${length} bytes at ${offset}`)
    }
  })

  await t.test('the first byte, the last byte, the whole and nothing can be read', async t => {
    t.ok(await mustBeRight(0, 1))
    t.ok(await mustBeRight(big.sizeBytes - 1, 1))
    t.ok(await mustBeRight(0, big.sizeBytes))
    await origin.read(image, 0, new Uint8Array(0), { signal })
  })

  await t.test('a read fills a part of a larger buffer and touches nothing beside it', async t => {
    const whole = new Uint8Array(3000).fill(0x77)
    await origin.read(image, 100, whole.subarray(1000, 2000), { signal })
    t.ok(whole.subarray(0, 1000).every(byte => byte === 0x77) && whole.subarray(2000).every(byte => byte === 0x77))
    t.ok(sampleBytes(big, 100, 1000).equals(whole.subarray(1000, 2000)))
  })

  await t.test('many reads at once are each right', async t => {
    const right = await Promise.all(Array.from({ length: 64 }, (_, k) => mustBeRight(k * 47_111, 33_333)))
    t.ok(right.every(Boolean))
  })
}

async function aborted(t: Test, context: Context): Promise<void> {
  const { origin, signal } = context
  const image = await imageOf(context, 'big.img')

  await t.test('a signal that has fired already ends every call', async t => {
    const gone = { signal: AbortSignal.abort() }
    await t.rejects(origin.list(gone), { code: 'aborted' })
    await t.rejects(origin.lookup('big.img', gone), { code: 'aborted' })
    await t.rejects(origin.read(image, 0, new Uint8Array(10), gone), { code: 'aborted' })
    await t.rejects(origin.extentAt(image, 0, gone), { code: 'aborted' })
  })

  await t.test('a read whose caller leaves is aborted, and its target is left alone', async t => {
    const controller = new AbortController()
    const target = new Uint8Array(big.sizeBytes)
    const read = origin.read(image, 0, target, { signal: controller.signal })
    controller.abort()
    await t.rejects(read, { code: 'aborted' })
    target.fill(0x33)
    await origin.read(image, 0, new Uint8Array(big.sizeBytes), { signal })
    t.ok(target.every(byte => byte === 0x33))
  })

  await t.test('a lookup and a listing whose caller leaves are aborted', async t => {
    const controller = new AbortController()
    const lookup = origin.lookup('big.img', { signal: controller.signal })
    const list = origin.list({ signal: controller.signal })
    controller.abort()
    await Promise.all([t.rejects(lookup, { code: 'aborted' }), t.rejects(list, { code: 'aborted' })])
  })
}

async function changed(t: Test, context: Context): Promise<void> {
  const { origin, directory, signal } = context
  const path = join(directory, 'changing.img')
  const target = new Uint8Array(1000)
  const write = (seed: number, seconds: number) => {
    writeFileSync(path, sampleBytes({ seed, sizeBytes: 100_000, dataShare: 1 }, 0, 100_000))
    // Web servers tell versions by whole seconds.
    utimesSync(path, seconds, seconds)
  }

  await t.test('a version that has been replaced fails with image-changed, and the new one can be read', async t => {
    write(1, 1_600_000_000)
    const before = await imageOf(context, 'changing.img')
    await origin.read(before, 0, target, { signal })
    write(2, 1_600_000_100)
    await t.rejects(origin.read(before, 0, target, { signal }), { code: 'image-changed' })
    const after = await imageOf(context, 'changing.img')
    t.not(after.id, before.id)
    await origin.read(after, 5, target, { signal })
    t.ok(sampleBytes({ seed: 2, sizeBytes: 100_000, dataShare: 1 }, 5, 1000).equals(target))
  })

  await t.test('a version that has been removed fails with image-changed, and its name with not-found', async t => {
    const image = await imageOf(context, 'changing.img')
    unlinkSync(path)
    await t.rejects(origin.read(image, 0, target, { signal }), { code: 'image-changed' })
    await t.rejects(origin.lookup('changing.img', { signal }), { code: 'not-found' })
  })

  await t.test('a version that has become shorter fails with image-changed', async t => {
    write(3, 1_600_000_200)
    const image = await imageOf(context, 'changing.img')
    writeFileSync(path, 'short')
    await t.rejects(origin.read(image, 50_000, target, { signal }), { code: 'image-changed' })
    unlinkSync(path)
  })
}

async function extents(t: Test, context: Context): Promise<void> {
  const { origin, signal } = context
  const image = await imageOf(context, 'big.img')

  await t.test('extents, where they are known, follow each other to the end, and holes are zeros', async t => {
    for (let at = 0; at < big.sizeBytes; ) {
      const extent = await origin.extentAt(image, at, { signal })
      if (extent === null) return t.equal(at, 0, 'an origin that cannot tell never can')
      t.ok(extent.end > at && extent.end <= big.sizeBytes, `${at} to ${extent.end}`)
      if (extent.hole) t.ok(sampleBytes(big, at, extent.end - at).every(byte => byte === 0))
      at = extent.end
    }
    return
  })
}

async function digests(t: Test, context: Context): Promise<void> {
  const { origin, directory, namesMd5, signal } = context
  const image = await imageOf(context, 'big.img')
  const sums = join(directory, 'SHA256SUMS')
  const beside = join(directory, 'big.img.sha512')
  const hash = (algorithm: string) =>
    createHash(algorithm)
      .update(readFileSync(join(directory, 'big.img')))
      .digest('hex')
  const own = namesMd5 ? { algorithm: 'md5', hex: hash('md5') } : null

  await t.test('an image has the digest that lies beside it, and none where none lies there', async t => {
    t.same(await origin.digest(image, { signal }), own)
    const text = `${'0'.repeat(64)}  odd\n${hash('sha256')} *big.img\n`
    writeFileSync(sums, text.padEnd(digestFileBytesMax + 1, '\n'))
    t.same(await origin.digest(image, { signal }), own, 'longer than is read')
    writeFileSync(sums, text.padEnd(digestFileBytesMax, '\n'))
    t.same(await origin.digest(image, { signal }), { algorithm: 'sha-256', hex: hash('sha256') })
    writeFileSync(beside, `${hash('sha512')}\n`)
    t.same(await origin.digest(image, { signal }), { algorithm: 'sha-512', hex: hash('sha512') })
    utimesSync(sums, 1_600_000_000, 1_600_000_000)
    t.equal((await origin.lookup('SHA256SUMS', { signal })).sizeBytes, readFileSync(sums).length, 'it is a file too')
    for (const file of [sums, beside]) unlinkSync(file)
    t.same(await origin.digest(image, { signal }), own)
    await t.rejects(origin.digest(image, { signal: AbortSignal.abort() }), { code: 'aborted' })
  })

  await t.test('the digest of another version is never given', async t => {
    const path = join(directory, 'changing.img')
    writeFileSync(path, 'before')
    utimesSync(path, 1_600_000_300, 1_600_000_300)
    const before = await imageOf(context, 'changing.img')
    writeFileSync(path, 'later')
    writeFileSync(`${path}.sha256`, createHash('sha256').update('later').digest('hex'))
    await t.rejects(origin.digest(before, { signal }), { code: 'image-changed' })
    for (const file of [path, `${path}.sha256`]) unlinkSync(file)
    await t.rejects(origin.digest(before, { signal }), { code: 'image-changed' })
  })
}

async function noDigests(t: Test, context: Context): Promise<void> {
  const image = await imageOf(context, 'big.img')
  t.equal(await context.origin.digest(image, { signal: context.signal }), null)
  await t.rejects(context.origin.digest(image, { signal: AbortSignal.abort() }), { code: 'aborted' })
}

async function givenDigests(t: Test, context: Context): Promise<void> {
  const image = await imageOf(context, 'big.img')
  const given = await context.origin.digest(image, { signal: context.signal })
  const algorithm = given?.algorithm ?? 'sha-256'
  const hash = createHash(algorithm.replace('-', '')).update(sampleBytes(big, 0, big.sizeBytes))
  t.same(given, { algorithm, hex: hash.digest('hex') })
  const other = { ...image, validator: `${image.validator}0` }
  await t.rejects(context.origin.digest(other, { signal: context.signal }), { code: 'image-changed' })
  await t.rejects(context.origin.digest(image, { signal: AbortSignal.abort() }), { code: 'aborted' })
}

async function closing(t: Test, context: Context): Promise<void> {
  const { origin, signal } = context
  const image = await imageOf(context, 'big.img')

  await t.test('closing twice is closing once, and nothing works afterwards', async t => {
    await Promise.all([origin.close(), origin.close()])
    await origin.close()
    await t.rejects(origin.read(image, 0, new Uint8Array(10), { signal }), { code: 'closed' })
    await t.rejects(origin.lookup('big.img', { signal }), { code: 'closed' })
    await t.rejects(origin.list({ signal }), { code: 'closed' })
  })
}
