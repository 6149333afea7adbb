import t from 'tap'
import { Capacity } from '../../../src/store/disk/capacity.ts'

const MiB = 1024 * 1024
const plentyOfDisk = { allocatedBytes: 0, freeBytes: 1000 * MiB, totalBytes: 1000 * MiB }

t.test('a reservation is granted up to the usable capacity, and refused one byte over', async t => {
  const capacity = new Capacity(100 * MiB)
  t.equal(capacity.usableBytes, 97 * MiB, '1 % and 2 MiB are kept back')
  t.equal(capacity.reserve(97 * MiB), true)
  t.equal(capacity.reserve(1), false)
  t.equal(capacity.refused, 1)
  capacity.settle(97 * MiB, 40 * MiB)
  t.equal(capacity.usedBytes, 40 * MiB)
  t.equal(capacity.reserve(57 * MiB + 1), false)
  t.equal(capacity.reserve(57 * MiB), true)
})

t.test('what the disk has beyond the landed bytes is overhead until the next measurement', async t => {
  const capacity = new Capacity(100 * MiB)
  capacity.adopt(10 * MiB)
  capacity.measured({ ...plentyOfDisk, allocatedBytes: 25 * MiB })
  t.equal(capacity.usedBytes, 25 * MiB)
  await capacity.release(10 * MiB, async () => {})
  t.equal(capacity.usedBytes, 15 * MiB)
  capacity.measured({ ...plentyOfDisk, allocatedBytes: MiB })
  t.equal(capacity.usedBytes, MiB)
})

t.test('a measurement in the middle of a write counts it twice rather than not at all', async t => {
  const capacity = new Capacity(100 * MiB)
  capacity.reserve(8 * MiB)
  capacity.measured({ ...plentyOfDisk, allocatedBytes: 8 * MiB })
  t.equal(capacity.usedBytes, 16 * MiB)
  capacity.settle(8 * MiB, 8 * MiB)
  capacity.measured({ ...plentyOfDisk, allocatedBytes: 8 * MiB })
  t.equal(capacity.usedBytes, 8 * MiB)
})

t.test('the excess is what lies between the use over the high watermark and the low one', async t => {
  const capacity = new Capacity(100 * MiB)
  capacity.adopt(capacity.highBytes)
  t.equal(capacity.excessBytes, 0)
  capacity.adopt(1)
  t.equal(capacity.excessBytes, capacity.highBytes + 1 - capacity.lowBytes)
})

t.test('a file system that fills up stops reservations and starts eviction, whatever the capacity says', async t => {
  const capacity = new Capacity(100 * MiB)
  capacity.measured({ allocatedBytes: 0, totalBytes: 1000 * MiB, freeBytes: 60 * MiB })
  t.equal(capacity.excessBytes, 0)
  t.equal(capacity.reserve(10 * MiB + 1), false)
  t.equal(capacity.reserve(10 * MiB), true)
  t.equal(capacity.reserve(1), false, 'the free space that was seen is spoken for')
  capacity.measured({ allocatedBytes: 0, totalBytes: 1000 * MiB, freeBytes: 30 * MiB })
  t.equal(capacity.excessBytes, 30 * MiB, '20 MiB too few, and 10 MiB on their way')
})

t.test('other watermarks hold at once', async t => {
  const capacity = new Capacity(100 * MiB)
  capacity.adopt(90 * MiB)
  t.equal(capacity.excessBytes, 0)
  capacity.setWatermarks({ high: 0.8, low: 0.5, free: 0.05 })
  t.equal(capacity.excessBytes, 90 * MiB - capacity.lowBytes)
  t.equal(capacity.lowBytes, Math.floor(97 * MiB * 0.5))
  capacity.setWatermarks({ high: 1, low: 1, free: 0.5 })
  capacity.measured({ allocatedBytes: 90 * MiB, freeBytes: 400 * MiB, totalBytes: 1000 * MiB })
  t.equal(capacity.excessBytes, 100 * MiB, 'half of the file system stays free')
  t.equal(capacity.reserve(1), false)
})

t.test('what is being punched when the disk is measured is counted twice rather than not at all', async t => {
  const capacity = new Capacity(100 * MiB)
  capacity.adopt(20 * MiB)
  capacity.measured({ ...plentyOfDisk, allocatedBytes: 25 * MiB })
  // The disk has punched it already, and the answer has not come.
  await capacity.release(8 * MiB, async () => {
    capacity.measured({ ...plentyOfDisk, allocatedBytes: 17 * MiB })
    t.ok(capacity.usedBytes >= 17 * MiB)
  })
  t.equal(capacity.usedBytes, 17 * MiB, 'the 5 MiB of others are still there')
  await t.rejects(
    capacity.release(2 * MiB, () => Promise.reject(new Error('EIO'))),
    { message: 'EIO' },
  )
  t.equal(capacity.usedBytes, 17 * MiB, 'nothing was freed')
})

t.test('a write that is needed may take half of what is kept back, and not a byte more', async t => {
  const capacity = new Capacity(100 * MiB)
  capacity.adopt(97 * MiB)
  t.equal(capacity.reserve(1), false)
  t.equal(capacity.reserve(1.5 * MiB + 1, true), false)
  t.equal(capacity.reserve(1.5 * MiB, true), true)
  capacity.settleWhenMeasured(1.5 * MiB)
  t.equal(capacity.usedBytes, 98.5 * MiB, 'reserved until it is measured')
  capacity.measured({ ...plentyOfDisk, allocatedBytes: 98 * MiB })
  t.equal(capacity.usedBytes, 98 * MiB)
})

t.test('what is given back by a measurement is given back once', t => {
  const capacity = new Capacity(2 ** 30)
  const disk = { allocatedBytes: 0, freeBytes: 2 ** 40, totalBytes: 2 ** 40 }
  t.ok(capacity.reserve(1000))
  capacity.settleWhenMeasured(1000)
  capacity.measured(disk)
  t.equal(capacity.usedBytes, 0)
  t.ok(capacity.reserve(500))
  capacity.measured(disk)
  t.equal(capacity.usedBytes, 500)
  t.end()
})
