/** Structures of requests, each from bytes laid out by hand. */
import t from 'tap'
import { RequestReader } from '../../../src/fuse/kernel/request-reader.ts'
import * as requests from '../../../src/fuse/kernel/requests.ts'
import { rawRequest } from '../../fixtures/fake-session.ts'
import * as bodies from '../../fixtures/fuse-bodies.ts'

function over(bytes: Uint8Array): RequestReader {
  return new RequestReader(bytes)
}

t.test('a header keeps its unique whole, bit 63 included', async t => {
  const unique = (1n << 63n) | 0xdeadbeefn
  const raw = rawRequest({ opcode: 15, unique, nodeId: 2n ** 63n - 1n, pid: 4_000_000_000, body: Buffer.alloc(8) })
  const reader = over(raw)
  const header = { opcode: 15, unique, nodeId: 2n ** 63n - 1n, pid: 4_000_000_000 }
  t.same(requests.readHeader(reader), header)
  t.equal(reader.remaining, 8)
  t.equal(requests.requestHeaderBytes, raw.length - 8)
})

t.test('INIT of old and new kernels', async t => {
  const offer = { major: 7, minor: 45, maxReadaheadBytes: 131072, flags: 0xc0000001, flags2: 0x80 }
  const body = bodies.initBody(45, offer.flags, offer.flags2)
  t.equal(body.length, 64)
  t.same(requests.readInit(over(body)), offer)
  t.same(requests.readInit(over(body.subarray(0, 16))), { ...offer, flags2: 0 })
})

t.test('structures of files and directories', async t => {
  const read = bodies.readBody(7n, 2n ** 40n, 4096)
  t.equal(read.length, 40)
  t.same(requests.readRead(over(read)), { handle: 7n, offset: 2n ** 40n, length: 4096 })
  t.equal(requests.readOpen(over(bodies.openBody(0o40000))), 0o40000)
  t.equal(requests.readRelease(over(bodies.releaseBody(9n))), 9n)
  t.same(requests.readSeek(over(bodies.seekBody(9n, -1n, 4))), { handle: 9n, offset: 2n ** 64n - 1n, whence: 4 })
  t.equal(requests.readAccess(over(bodies.bytesFrom(['u32', 4], ['u32', 0]))), 4)
  const value = over(bodies.valueBody(100, 'user.x'))
  t.equal(requests.readValueBytesMax(value), 100)
  t.equal(value.name(), 'user.x')
  t.equal(requests.readInterrupt(over(bodies.bytesFrom(['u64', 8]))), 8n)
})

t.test('forgets, one and many', async t => {
  t.equal(requests.readForget(over(bodies.bytesFrom(['u64', 3]))), 3)
  const many = bodies.bytesFrom(['u32', 2], ['u32', 0], ['u64', 5], ['u64', 1], ['u64', 6], ['u64', 2])
  t.same(requests.readBatchForget(over(many)), [
    { nodeId: 5n, lookups: 1 },
    { nodeId: 6n, lookups: 2 },
  ])
  const lying = bodies.bytesFrom(['u32', 0xffffffff], ['u32', 0], ['u64', 5], ['u64', 1])
  t.throws(() => requests.readBatchForget(over(lying)), { code: 'malformed' })
})

t.test('a structure that lacks its last byte is malformed', async t => {
  const decoders: [string, number, (reader: RequestReader) => unknown][] = [
    ['header', 40, requests.readHeader],
    ['init', 16, requests.readInit],
    ['read', 40, requests.readRead],
    ['open', 8, requests.readOpen],
    ['release', 24, requests.readRelease],
    ['seek', 24, requests.readSeek],
    ['getattr', 16, requests.readGetAttributes],
    ['statx', 24, requests.readStatx],
    ['access', 8, requests.readAccess],
    ['value', 8, requests.readValueBytesMax],
    ['interrupt', 8, requests.readInterrupt],
    ['forget', 8, requests.readForget],
    ['batch forget', 8, requests.readBatchForget],
  ]
  for (const [name, bytes, decode] of decoders) {
    decode(over(new Uint8Array(bytes)))
    t.throws(() => decode(over(new Uint8Array(bytes - 1))), { code: 'malformed' }, name)
  }
})
