/** Segments of a large object: the parts of each range, and the version that they make. */
import t from 'tap'
import { isOfSegments, type Segment, SegmentList } from '../../../src/origin/swift/segments.ts'
import { randomFrom } from '../../fixtures/images.ts'

const segment = (name: string, length: number, first = 0): Segment => ({
  container: 'c',
  name,
  etag: `etag of ${name}`,
  objectBytes: 1000,
  first,
  length,
})

t.test('each range is made of the right stretches', async t => {
  const seed = 7
  const random = randomFrom(seed)
  const segments = Array.from({ length: 40 }, (_, k) =>
    segment(String(k), Math.floor(random() ** 3 * 50), Math.floor(random() * 900)),
  )
  const list = new SegmentList(segments)
  const bytes = segments.flatMap(({ name, first, length }) => Array.from({ length }, (_, k) => `${name}:${first + k}`))
  t.equal(list.sizeBytes, bytes.length)
  for (let tries = 0; tries < 300; tries++) {
    const offset = Math.floor(random() * bytes.length)
    const length = 1 + Math.floor(random() * (bytes.length - offset))
    const parts = list.partsOf(offset, length)
    const read = parts.flatMap(({ name, first, length }) => Array.from({ length }, (_, k) => `${name}:${first + k}`))
    if (read.join() !== bytes.slice(offset, offset + length).join()) t.fail(`seed ${seed}: ${length} at ${offset}`)
    if (parts.some(({ length }) => length === 0)) t.fail('an empty part')
  }
  t.same(new SegmentList([]).partsOf(0, 0), [])
})

t.test('another name, ETag, size or stretch is another version', async t => {
  const [a, b] = [segment('a', 10), segment('b', 20)]
  const validatorOf = (...segments: Segment[]) => new SegmentList(segments).validator
  const base = validatorOf(a, b)
  t.ok(isOfSegments(base))
  t.notOk(isOfSegments('5eb63bbbe01eeed093cb22bb8f5acdc3'))
  t.equal(validatorOf({ ...a }, { ...b }), base)
  const others = [
    validatorOf(b, a),
    validatorOf(a),
    validatorOf(a, { ...b, etag: 'x' }),
    validatorOf(a, { ...b, name: 'x' }),
    validatorOf(a, { ...b, container: 'x' }),
    validatorOf(a, { ...b, objectBytes: 1001 }),
    validatorOf(a, { ...b, first: 1 }),
    validatorOf({ ...a, length: 11 }, { ...b, length: 19 }),
  ]
  t.equal(new Set([base, ...others]).size, others.length + 1)
})
