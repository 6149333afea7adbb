import { crc32 } from 'node:zlib'
import t from 'tap'
import { addChecksum, checkedContent } from '../../../src/index/format/value-checksum.ts'

const key = Buffer.from('a key')

t.test('what was sealed comes back, short and long', async t => {
  for (const length of [0, 1, 16, 59, 60, 64, 65, 10_000]) {
    const content = Buffer.alloc(length, 'content ')
    t.ok(checkedContent(key, addChecksum(key, content))?.equals(content), `${length} bytes`)
  }
})

t.test('the seal is a CRC-32 over key, layout byte and content, whatever the length', async t => {
  for (const length of [16, 1000]) {
    const value = addChecksum(key, Buffer.alloc(length, 7))
    t.equal(value.readUInt32LE(length + 1), crc32(Buffer.concat([key, value.subarray(0, length + 1)])))
  }
})

t.test('any flipped bit, another key, and a cut make it absent', async t => {
  const value = addChecksum(key, Buffer.from('content'))
  for (let bit = 0; bit < value.length * 8; bit++) {
    const flipped = Buffer.from(value)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    t.equal(checkedContent(key, flipped), null)
  }
  t.equal(checkedContent(Buffer.from('b key'), value), null)
  for (let length = 0; length < value.length; length++) t.equal(checkedContent(key, value.subarray(0, length)), null)
})
