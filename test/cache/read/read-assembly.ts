import t from 'tap'
import { coalesce } from '../../../src/cache/read/read-assembly.ts'

const whole = Uint8Array.from({ length: 100 }, (_, k) => k)
const piece = (offset: number, from: number, to: number, bytes = whole) => {
  return { offset, length: to - from, bytes: bytes.subarray(from, to) }
}

t.test('pieces that lie side by side in one buffer are one, without a copy', async t => {
  const one = coalesce([piece(1010, 10, 20), piece(1020, 20, 50), piece(1050, 50, 60)])!
  t.same([one.offset, one.length], [1010, 50])
  t.equal(one.bytes.buffer, whole.buffer)
  t.same([...one.bytes], [...whole.subarray(10, 60)])
  t.same(coalesce([piece(5, 0, 7)])?.length, 7)
})

t.test('others are not: in another buffer, with a gap, in another order, elsewhere in the image', async t => {
  t.equal(coalesce([]), null)
  t.equal(coalesce([piece(10, 10, 20), piece(20, 20, 30, whole.slice())]), null)
  t.equal(coalesce([piece(10, 10, 20), piece(21, 21, 30)]), null)
  t.equal(coalesce([piece(20, 20, 30), piece(10, 10, 20)]), null)
  t.equal(coalesce([piece(10, 10, 20), piece(30, 20, 30)]), null)
  t.equal(coalesce([piece(10, 10, 20), piece(20, 30, 40)]), null)
})
