/** The cursor over a request. */
import t from 'tap'
import { RequestReader } from '../../../src/fuse/kernel/request-reader.ts'
import { bytesFrom } from '../../fixtures/fuse-bodies.ts'

t.test('numbers come out as they went in, at any alignment', async t => {
  const bytes = Buffer.concat([
    Buffer.alloc(3),
    bytesFrom(['u16', 0xfedc], ['u32', 0xfedcba98], ['u64', 2n ** 64n - 2n]),
  ])
  const reader = new RequestReader(bytes.subarray(3))
  t.equal(reader.u16(), 0xfedc)
  t.equal(reader.u32(), 0xfedcba98)
  t.equal(reader.u64(), 2n ** 64n - 2n)
  t.equal(reader.remaining, 0)
})

t.test('nothing is read past the end, whatever lies behind it', async t => {
  const longer = Buffer.alloc(64)
  const reader = new RequestReader(longer.subarray(0, 7))
  t.throws(() => reader.u64(), { code: 'malformed' })
  t.throws(() => reader.skip(8), { code: 'malformed' })
  reader.u32()
  t.throws(() => reader.u32(), { code: 'malformed' })
  reader.u16()
  t.throws(() => reader.u16(), { code: 'malformed' })
  const unended = new RequestReader(Buffer.from('name\0').subarray(0, 4))
  t.throws(() => unended.name(), { code: 'malformed' })
})

t.test('names are text, byte order marks included', async t => {
  const reader = new RequestReader(Buffer.from('é\0\0\ufeffx\0'))
  t.equal(reader.name(), 'é')
  t.equal(reader.name(), '')
  t.equal(reader.name(), '\ufeffx')
})

t.test('bytes that are no text are no name, and the next name is found', async t => {
  const reader = new RequestReader(Buffer.from([0xff, 0xfe, 0, 0x61, 0]))
  t.equal(reader.name(), null)
  t.equal(reader.name(), 'a')
})
