/**
 * Packed images that are not shown as raw: each is refused by what is wrong with it, and damage is never zeros.
 */
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import type { Unpacker } from '../../../src/native/unpacker.ts'
import type { FoundImage, ReadOptions } from '../../../src/origin/contract/origin.ts'
import { RawViewOrigin } from '../../../src/origin/views/raw-view.ts'
import { qcow2Of, vmdkOf } from '../../fixtures/disk-images.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { ScriptedOrigin } from '../../fixtures/scripted-origin.ts'

const { signal } = new AbortController()
const addon = loadAddon()
const disk = Buffer.concat([
  sampleBytes({ seed: 3, sizeBytes: 128 * 1024, dataShare: 1 }, 0, 128 * 1024),
  Buffer.alloc(128 * 1024, 'text that packs '),
  Buffer.alloc(128 * 1024),
])

function viewOf(images: Readonly<Record<string, Buffer>>, unpacker: Unpacker = addon): RawViewOrigin {
  return new RawViewOrigin(new ScriptedOrigin(images), { unpacker, logger: keepingLogger() })
}

function changed(image: Buffer, change: (image: Buffer) => unknown): Buffer {
  const copy = Buffer.from(image)
  change(copy)
  return copy
}

/** Read all of `x.raw`. */
async function readOf(origin: RawViewOrigin): Promise<Buffer> {
  const image = identify(await origin.lookup('x.raw', { signal }))
  const whole = Buffer.alloc(image.sizeBytes)
  await origin.read(image, 0, whole, { signal })
  return whole
}

const qcow2 = qcow2Of(disk)
const vmdk = vmdkOf(disk)
const l2Offset = 2 * 65_536

t.test('images of our own writing are read', async t => {
  t.ok((await readOf(viewOf({ 'x.qcow2': qcow2 }))).equals(disk))
  t.ok((await readOf(viewOf({ 'x.qcow2': qcow2Of(disk, { version: 2, clusterBits: 9 }) }))).equals(disk))
  t.ok((await readOf(viewOf({ 'x.vmdk': vmdk }))).equals(disk), 'with its tables at the end')
  t.ok((await readOf(viewOf({ 'x.vmdk': vmdkOf(disk, 8) }))).equals(disk))
  t.equal((await viewOf({ 'x.qcow2': qcow2Of(Buffer.alloc(0)) }).lookup('x.raw', { signal })).sizeBytes, 0)
})

t.test('a dirty image is read: of it only refcounts may be wrong', async t => {
  const dirty = changed(qcow2, image => image.writeUInt8(1, 79))
  t.ok((await readOf(viewOf({ 'x.qcow2': dirty }))).equals(disk))
})

t.test('what an image depends on, or what is unknown, is named in the refusal', async t => {
  const text = (from: string, to: string) => (image: Buffer) => image.write(to, image.indexOf(from))
  const cases: [name: string, image: Buffer, change: (image: Buffer) => unknown, message: RegExp][] = [
    ['x.qcow2', qcow2, image => image.write('no'), /no qcow2 image/],
    ['x.qcow2', qcow2, image => image.writeUInt32BE(4, 4), /version 4/],
    ['x.qcow2', qcow2, image => image.writeUInt8(1, 15), /backing file/],
    ['x.qcow2', qcow2, image => image.writeUInt32BE(1, 32), /encrypted/],
    ['x.qcow2', qcow2, image => image.writeUInt32BE(2, 32), /encrypted/],
    ['x.qcow2', qcow2, image => image.writeUInt8(2, 79), /corrupt/],
    ['x.qcow2', qcow2, image => image.writeUInt8(4, 79), /another file/],
    ['x.qcow2', qcow2, image => image.writeUInt8(16, 79), /extended L2/],
    ['x.qcow2', qcow2, image => image.writeUInt8(32, 79), /unknown features \(32\)/],
    ['x.qcow2', qcow2, image => image.writeUInt8(8, 79) && image.writeUInt8(2, 104), /compression is unknown \(2\)/],
    ['x.vmdk', vmdk, image => image.write('COWD'), /no VMDK/],
    ['x.vmdk', vmdk, image => image.writeUInt32LE(4, 4), /version 4/],
    ['x.vmdk', vmdk, image => image.writeUInt32LE(1, 8), /not stream-optimised/],
    ['x.vmdk', vmdk, text('streamOpt', 'monolithi'), /not stream-optimised/],
    ['x.vmdk', vmdk, text('parentCID=f', 'parentCID=e'), /has a parent/],
    ['x.vmdk', vmdk, text('ddb.adapterType = ', 'RW 1 FLAT "a"\n#'), /2 extents/],
  ]
  for (const [name, image, change, message] of cases) {
    const origin = viewOf({ [name]: changed(image, change) })
    await t.rejects(origin.lookup('x.raw', { signal }), { code: 'origin-unsupported', message })
  }
})

t.test('a missing library is named in the refusal', async t => {
  const image = changed(qcow2, bytes => bytes.writeUInt8(8, 79) && bytes.writeUInt8(1, 104))
  const unpacker = { ...addon, unpackComplaint: () => 'libzstd.so.1: there is none' }
  await t.rejects(viewOf({ 'x.qcow2': image }, unpacker).lookup('x.raw', { signal }), {
    code: 'origin-unsupported',
    message: /library for zstd: libzstd/,
  })
})

t.test('an image that comes from its front alone is refused', async t => {
  class FrontOnly extends ScriptedOrigin {
    override async lookup(key: string, options: ReadOptions): Promise<FoundImage> {
      return { ...(await super.lookup(key, options)), isSequential: true }
    }
  }
  const origin = new RawViewOrigin(new FrontOnly({ 'x.qcow2': qcow2 }), { unpacker: addon, logger: keepingLogger() })
  await t.rejects(origin.lookup('x.raw', { signal }), { code: 'origin-unsupported', message: /no ranges of x\.qcow2/ })
  t.match(await origin.lookup('x.qcow2', { signal }), { isSequential: true })
})

t.test('tables and clusters that make no sense are errors', async t => {
  const entry =
    (value: bigint, index = 0) =>
    (image: Buffer) =>
      image.writeBigUInt64BE(value, l2Offset + index * 8)
  const packed = qcow2.readBigUInt64BE(l2Offset + 2 * 8)
  t.equal(packed >> 62n, 1n, 'the third cluster is packed')
  const place = Number(packed & ((1n << 54n) - 1n))
  const length = (packed >> 54n) & 0xffn
  const cases: [what: string, image: Buffer][] = [
    ['clusters of 2^40 bytes', changed(qcow2, image => image.writeUInt32BE(40, 20))],
    ['too few entries', changed(qcow2, image => image.writeUInt32BE(0, 36))],
    ['a size without tables', changed(qcow2, image => image.writeBigUInt64BE(1n << 60n, 24))],
    ['a table past the end', changed(qcow2, image => image.writeBigUInt64BE(1n << 40n, 40))],
    ['a table that is not aligned', changed(qcow2, image => image.writeBigUInt64BE(1024n, 40))],
    ['a short header', changed(qcow2, image => image.writeUInt32BE(80, 100))],
    ['a compression that contradicts', changed(qcow2, image => image.writeUInt8(1, 104))],
    ['an L2 table past the end', changed(qcow2, image => image.writeBigUInt64BE(1n << 50n, 65_536))],
    ['an L2 table that is not aligned', changed(qcow2, image => image.writeBigUInt64BE(66_048n, 65_536))],
    ['a cluster past the end', changed(qcow2, entry(1n << 40n))],
    ['a cluster that is not aligned', changed(qcow2, entry(65_536n + 512n))],
    ['reserved low bits', changed(qcow2, entry(65_536n | 2n))],
    ['reserved high bits', changed(qcow2, entry(65_536n | (1n << 57n)))],
    ['zeros in version 2', changed(qcow2Of(disk, { version: 2 }), entry(1n))],
    ['a packed cluster past the end', changed(qcow2, entry((1n << 62n) | (1n << 40n), 2))],
    ['a packed cluster that is said to be plain', changed(qcow2, entry(packed | (1n << 63n), 2))],
    ['a stream that is cut', changed(qcow2, entry((1n << 62n) | BigInt(place), 2)).subarray(0, place + 100)],
    ['a stream that is damaged', changed(qcow2, image => image.fill(0xff, place, place + 8))],
    ['a stream of less than a cluster', changed(qcow2, entry((packed & ~((1n << 54n) - 1n)) | BigInt(place + 3), 2))],
    ['a file that was cut', qcow2.subarray(0, 4 * 65_536)],
    ['a grain that names another one', changed(vmdk, image => image.writeUInt8(7, 128 * 512))],
    ['a grain that is too long', changed(vmdk, image => image.writeUInt32LE(1 << 20, 128 * 512 + 8))],
    ['no footer', vmdk.subarray(0, vmdk.length - 512)],
    ['grains of one sector', changed(vmdk, image => image.writeUInt8(1, vmdk.length - 1024 + 20))],
  ]
  t.ok(length < 128n)
  for (const [what, image] of cases) {
    const name = image.readUInt32BE(0) === 0x514649fb ? 'x.qcow2' : 'x.vmdk'
    await t.rejects(readOf(viewOf({ [name]: image })), { code: 'origin-protocol' }, what)
  }
})

t.test('streams of more than a cluster are errors, and nothing is written past it', async t => {
  // The clusters of an image with larger ones, told as those of an image with smaller ones.
  const large = qcow2Of(disk, { clusterBits: 17 })
  const stream = large.readBigUInt64BE(2 * 131_072 + 8)
  const begin = Number(stream & ((1n << 53n) - 1n))
  const small = Buffer.concat([qcow2, large.subarray(begin, begin + 60_000)])
  const tooMuch = (1n << 62n) | (100n << 54n) | BigInt(qcow2.length)
  const image = changed(small, bytes => bytes.writeBigUInt64BE(tooMuch, l2Offset))
  await t.rejects(readOf(viewOf({ 'x.qcow2': image })), { code: 'origin-protocol', message: /cannot be unpacked/ })
})

t.test('names: a file hides the view of its name, aloud, and qcow2 goes before vmdk', async t => {
  const logger = keepingLogger()
  const other = Buffer.alloc(1024, 'other')
  const images = {
    'a.qcow2': qcow2,
    'a.raw': other,
    'b.qcow2': qcow2,
    'b.vmdk': vmdkOf(other),
    'c.vmdk': vmdk,
    '.qcow2': qcow2,
    'in/d.vmdk': vmdk,
    'in/.vmdk': vmdk,
  }
  const origin = new RawViewOrigin(new ScriptedOrigin(images), { unpacker: addon, logger })
  t.same([...(await origin.list({ signal }))!].sort(), [...Object.keys(images), 'b.raw', 'c.raw', 'in/d.raw'].sort())
  await origin.list({ signal })
  t.same(
    logger.lines.map(({ level, message }) => [level, message]),
    [['warn', 'a.raw is a file: a.qcow2 is not shown as raw']],
    'once',
  )
  t.equal((await origin.lookup('a.raw', { signal })).sizeBytes, other.length)
  t.equal((await origin.lookup('b.raw', { signal })).sizeBytes, disk.length)
  t.equal((await origin.lookup('c.raw', { signal })).sizeBytes, disk.length)
  await t.rejects(origin.lookup('.raw', { signal }), { code: 'not-found' })
  await t.rejects(origin.lookup('d.raw', { signal }), { code: 'not-found' })
  t.equal((await origin.lookup('b.qcow2', { signal })).sizeBytes, qcow2.length, 'packed images stay')
})
