/** Data and holes: as the origin knows them, else by blocks of zeros; what is not known is data. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { allBlocks, Geometry, identify } from '../../../src/base/image.ts'
import { dataOrHoleAt } from '../../../src/cache/read/hole-map.ts'
import type { OriginExtent } from '../../../src/origin/contract/origin.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever as signal } from '../../fixtures/rooms.ts'

const blockBytes = 4096
const objectBytes = 64 * blockBytes
const sizeBytes = 3 * objectBytes + 100
const image = identify({ origin: 'memory://origin', key: 'a', sizeBytes, validator: '1', modifiedMs: 0 })

/** An image of which the store knows that these blocks are zeros, by object. */
function storing(zero: readonly bigint[]): StoredImage {
  const geometry = new Geometry(sizeBytes, blockBytes)
  return { image, geometry, zero: (object: number) => zero[object] ?? 0n } as unknown as StoredImage
}

t.test('the origin knows best', async t => {
  const origin = new MemoryOrigin()
  const said: OriginExtent = { hole: true, end: 5000 }
  origin.extentAt = async () => said
  t.same(await dataOrHoleAt(image, 10, origin, storing([allBlocks]), signal), said)
})

t.test('an origin that is away, or knows nothing, leaves it to the store', async t => {
  const origin = new MemoryOrigin()
  const stored = storing([0b0110n])
  t.same(await dataOrHoleAt(image, 0, origin, stored, signal), { hole: false, end: blockBytes })
  origin.extentAt = () => Promise.reject(new CacheError('origin-away', 'gone'))
  t.same(await dataOrHoleAt(image, blockBytes + 1, origin, stored, signal), { hole: true, end: 3 * blockBytes })
})

t.test('stretches go on over objects, and end with the image', async t => {
  const origin = new MemoryOrigin()
  const at = (offset: number, zero: readonly bigint[]) => dataOrHoleAt(image, offset, origin, storing(zero), signal)
  t.same(await at(5, [allBlocks, allBlocks, 0b1n]), { hole: true, end: 2 * objectBytes + blockBytes })
  t.same(await at(5, [0n, 0n, 0b100n]), { hole: false, end: 2 * objectBytes + 2 * blockBytes })
  t.same(await at(5, [allBlocks, allBlocks, allBlocks, 1n]), { hole: true, end: sizeBytes })
  t.same(await at(sizeBytes - 1, []), { hole: false, end: sizeBytes })
})

t.test('what neither knows is data', async t => {
  t.same(await dataOrHoleAt(image, 7, new MemoryOrigin(), null, signal), { hole: false, end: sizeBytes })
})
