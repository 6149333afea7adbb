/**
 * Requests behind a raw view: what was unpacked serves all reads of its unit, neighbours come with one request, and
 * what its readers have left is given up.
 */
import t from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { requestBytesMax } from '../../../src/origin/views/limits.ts'
import { RawViewOrigin } from '../../../src/origin/views/raw-view.ts'
import { qcow2Of } from '../../fixtures/disk-images.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { until } from '../../fixtures/until.ts'

const { signal } = new AbortController()
const [KiB, MiB] = [1024, 1024 * 1024]

/** Words that pack to about a third. */
function textDisk(sizeBytes: number): Buffer {
  const disk = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 16) disk.write(`${(at * 7919).toString(36).padStart(9)} words `, at, 'latin1')
  return disk
}

interface Opened {
  readonly inner: MemoryOrigin
  readonly view: RawViewOrigin
  readonly image: Image
  /** Offset and length of each read of the packed image since the last call. */
  readonly reads: () => [number, number][]
}

async function open(packed: Buffer): Promise<Opened> {
  const inner = new MemoryOrigin()
  inner.putText('x.qcow2', packed)
  const view = new RawViewOrigin(inner, { unpacker: loadAddon(), logger: silentLogger })
  const image = identify(await view.lookup('x.raw', { signal }))
  let seen = inner.requests.length
  const reads = () => {
    const fresh = inner.requests.slice(seen).filter(request => request.startsWith('read'))
    seen = inner.requests.length
    return fresh.map(request => request.split(' ').slice(2).map(Number) as [number, number])
  }
  return { inner, view, image, reads }
}

t.test('a cluster that is read block by block is fetched once', async t => {
  const disk = textDisk(4 * MiB)
  const { view, image, reads } = await open(qcow2Of(disk, { clusterBits: 21 }))
  for (let at = 0; at < 2 * MiB; at += 64 * KiB) {
    const block = new Uint8Array(64 * KiB)
    await view.read(image, at, block, { signal })
    t.ok(disk.subarray(at, at + block.length).equals(block))
  }
  const all = reads()
  t.equal(all.filter(([, length]) => length > 64 * KiB).length, 1, 'the cluster once')
  t.equal(all.filter(([, length]) => length === 1).length, 31, 'what comes from memory confirms the version')
})

t.test('readers of one cluster at the same time share its request', async t => {
  const disk = textDisk(2 * MiB)
  const { view, image, reads } = await open(qcow2Of(disk, { clusterBits: 21 }))
  const blocks = Array.from({ length: 16 }, (_, k) => ({ at: k * 128 * KiB, bytes: new Uint8Array(64 * KiB) }))
  await Promise.all(blocks.map(({ at, bytes }) => view.read(image, at, bytes, { signal })))
  t.ok(blocks.every(({ at, bytes }) => disk.subarray(at, at + bytes.length).equals(bytes)))
  t.equal(reads().filter(([, length]) => length > 64 * KiB).length, 1)
})

t.test('neighbours come with one request, and no request is longer than its bound', async t => {
  const disk = textDisk(4 * MiB)
  const packed = qcow2Of(disk)
  const { view, image, reads } = await open(packed)
  const whole = new Uint8Array(disk.length)
  await view.read(image, 0, whole, { signal })
  t.ok(disk.equals(whole))
  const all = reads()
  const fetched = all.reduce((sum, [, length]) => sum + length, 0)
  t.ok(all.length <= 8, `${all.length} requests for 64 clusters`)
  t.ok(all.every(([, length]) => length <= requestBytesMax))
  t.ok(fetched < packed.length * 1.1, `${fetched} of ${packed.length} bytes`)
})

t.test('small clusters of a unit come with one request', async t => {
  const disk = textDisk(64 * KiB)
  const { view, image, reads } = await open(qcow2Of(disk, { clusterBits: 12 }))
  await view.read(image, 5000, new Uint8Array(10), { signal })
  t.ok(reads().filter(([, length]) => length > 4 * KiB).length === 1)
  const whole = new Uint8Array(disk.length)
  await view.read(image, 0, whole, { signal })
  t.ok(disk.equals(whole))
  t.same(reads(), [[0, 1]])
})

t.test('a unit whose readers have all left is given up, and fetched anew for the next one', async t => {
  const disk = textDisk(2 * MiB)
  const { inner, view, image } = await open(qcow2Of(disk, { clusterBits: 21 }))
  await view.extentAt(image, 0, { signal }) // The tables are there.
  let given = 0
  inner.gate = (_key, _offset, inSignal) =>
    new Promise((_resolve, reject) => {
      inSignal.addEventListener('abort', () => {
        given++
        reject(inSignal.reason)
      })
    })
  const readers = [new AbortController(), new AbortController()]
  const before = inner.requests.length
  const reads = readers.map(reader => view.read(image, 0, new Uint8Array(10), { signal: reader.signal }))
  const settled = Promise.allSettled(reads)
  await until(() => inner.requests.length > before, 30_000, 'the request')
  readers[0]!.abort()
  await t.rejects(reads[0]!, { code: 'aborted' })
  t.equal(given, 0, 'one reader is left')
  readers[1]!.abort()
  await settled
  t.equal(given, 1)
  inner.gate = async () => {}
  const bytes = new Uint8Array(10)
  await view.read(image, 0, bytes, { signal })
  t.ok(disk.subarray(0, 10).equals(bytes))
})

t.test(
  'a version that is known from before is read without a lookup of its view, and no other in its place',
  async t => {
    const disk = textDisk(256 * KiB)
    const { inner, image } = await open(qcow2Of(disk))
    const later = () => new RawViewOrigin(inner, { unpacker: loadAddon(), logger: silentLogger })
    const bytes = new Uint8Array(1000)
    await later().read(image, 70_000, bytes, { signal })
    t.ok(disk.subarray(70_000, 71_000).equals(bytes))
    t.same(await later().extentAt(image, 0, { signal }), { hole: false, end: disk.length })
    inner.putText('x.qcow2', qcow2Of(textDisk(512 * KiB)))
    await t.rejects(later().read(image, 0, bytes, { signal }), { code: 'image-changed' })
    await t.rejects(later().extentAt(image, 0, { signal }), { code: 'image-changed' })
    inner.remove('x.qcow2')
    await t.rejects(later().read(image, 0, bytes, { signal }), { code: 'image-changed' })
  },
)
