/**
 * The holes that are known of an open image.
 */
import t from 'tap'
import type { CephImage } from '../../../src/native/ceph-types.ts'
import { rbdHolesRetryMs, rbdRegionBytes } from '../../../src/origin/ceph/limits.ts'
import { RbdHoles } from '../../../src/origin/ceph/rbd-holes.ts'

/** An image with data in these stretches. */
function imageOf(sizeBytes: number, stretches: readonly (readonly [number, number])[]) {
  const asked: number[] = []
  const image: CephImage = {
    sizeBytes,
    hasParent: false,
    hasObjectMap: false,
    layout: () => Promise.reject(new Error('nobody asks for it here')),
    data: async (offset, length) => {
      asked.push(offset)
      const within = stretches
        .map(([from, to]) => [Math.max(from, offset), Math.min(to, offset + length)] as const)
        .filter(([from, to]) => from < to)
      return Float64Array.from(within.flat())
    },
    read: () => ({ done: Promise.resolve(false), leave: () => {} }),
    source: () => {
      throw new Error('nobody asks for it here')
    },
    close: () => {},
  }
  return { image, asked }
}

t.test('until a region is known all is data; then holes are left out, over regions too', async t => {
  const size = rbdRegionBytes * 2 + 1000
  const { image, asked } = imageOf(size, [
    [100, 200],
    [300, 400],
    [rbdRegionBytes - 50, rbdRegionBytes + 50],
  ])
  const holes = new RbdHoles(image, async () => {})
  t.same(holes.dataIn(0, 1000), [{ from: 0, to: 1000 }])
  t.same(await holes.extentAt(0), { hole: true, end: 100 })
  t.same(await holes.extentAt(150), { hole: false, end: 200 })
  t.same(await holes.extentAt(400), { hole: true, end: rbdRegionBytes - 50 })
  t.same(asked, [0], 'asked once')
  t.same(holes.dataIn(150, 350), [
    { from: 150, to: 200 },
    { from: 300, to: 350 },
  ])
  t.same(holes.dataIn(200, 300), [])
  await holes.extentAt(rbdRegionBytes)
  t.same(holes.dataIn(rbdRegionBytes - 100, rbdRegionBytes + 100), [
    { from: rbdRegionBytes - 50, to: rbdRegionBytes + 50 },
  ])
  t.same(await holes.extentAt(size - 1), { hole: true, end: size })
})

t.test('what was said of a version that has gone is not believed, and is asked again after a pause', async t => {
  const { image, asked } = imageOf(1000, [])
  let [nowMs, hasGone] = [0, true]
  const confirm = async () => {
    if (hasGone) throw new Error('gone')
  }
  const holes = new RbdHoles(image, confirm, () => nowMs)
  await t.rejects(holes.extentAt(0), { message: 'gone' })
  t.same(holes.dataIn(0, 1000), [{ from: 0, to: 1000 }])
  t.equal(asked.length, 1, 'not again at once')
  nowMs += rbdHolesRetryMs
  hasGone = false
  holes.dataIn(0, 1000)
  t.equal(asked.length, 2)
  t.same(await holes.extentAt(0), { hole: true, end: 1000 })
  t.same(holes.dataIn(0, 1000), [])
})
