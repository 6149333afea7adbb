/** Orphans: found by asking the file system for data, punched object by object. */
import t from 'tap'
import { Geometry } from '../../src/base/image.ts'
import type { StoredImage } from '../../src/store/image/stored-image.ts'
import { punchOrphans } from '../../src/store/orphan-blocks.ts'

const geometry = new Geometry(10 * 64 * 4096 + 100, 4096)
const { objectBytes, sizeBytes } = geometry

/** A file that has data at these offsets, and notes the objects that are punched. */
function storing(data: readonly number[]) {
  const punched: number[] = []
  const stored = {
    geometry,
    usageGate: { isClosed: false },
    file: { seekData: async (from: number) => data.find(offset => offset >= from) ?? -1 },
    punchOrphans: async (object: number) => void punched.push(object),
  }
  return { punched, gate: stored.usageGate, stored: stored as unknown as StoredImage }
}

t.test('each object with data is looked at once, the others not at all', async t => {
  const { punched, stored } = storing([5, 4096, 3 * objectBytes - 1, 3 * objectBytes, sizeBytes - 1])
  await punchOrphans(stored, () => false)
  t.same(punched, [0, 2, 3, 10])
})

t.test('bytes behind the end of the image are not looked at', async t => {
  const { punched, stored } = storing([sizeBytes, sizeBytes + 4096])
  await punchOrphans(stored, () => false)
  t.same(punched, [])
})

t.test('a stop ends the walk, and so does the removal of the image', async t => {
  const data = [0, objectBytes, 2 * objectBytes]
  const stopping = storing(data)
  await punchOrphans(stopping.stored, () => stopping.punched.length === 1)
  t.same(stopping.punched, [0])
  const removed = storing(data)
  removed.gate.isClosed = true
  await punchOrphans(removed.stored, () => false)
  t.same(removed.punched, [])
})
