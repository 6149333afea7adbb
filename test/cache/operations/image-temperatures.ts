/** Temperatures of images: bytes by periods, of whole images, and only for origins with hit sets. */
import t from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import type { HitSetTable } from '../../../src/cache/evict/hit-set-table.ts'
import { imageTemperatures } from '../../../src/cache/operations/image-temperatures.ts'
import type { Store } from '../../../src/store/store.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'

const blockBytes = 4096
const objectBytes = 64 * blockBytes

/** @param counts objects in no set, in one, and so on */
async function of(sizeBytes: number, counts: readonly number[]) {
  const [origin, without] = [new MemoryOrigin(), new MemoryOrigin('memory://without')]
  const image = identify({ origin: origin.url, key: 'a', sizeBytes, validator: 'v1', modifiedMs: 0 })
  const steps: string[] = []
  const hitSets = {
    enterUses: async () => void steps.push('enter'),
    temperatures: async (_image: Image, objects: number) => {
      steps.push(`look at ${objects}`)
      return [...counts]
    },
    status: (url: string) => (url === origin.url ? { type: 'bloom', sets: 2 } : null),
  } as unknown as HitSetTable
  const origins = [
    { directory: 'here', origin },
    { directory: 'there', origin: without },
  ]
  const store = { blockBytes } as Store
  const known = [{ name: 'here/a', entry: { image, nodeId: 1n } }]
  return { steps, ...(await imageTemperatures(known, { origins, store, hitSets })) }
}

t.test('uses are entered first; an image is told by bytes of whole objects', async t => {
  const { steps, images, origins } = await of(4 * objectBytes, [1, 2, 1])
  t.same(steps, ['enter', 'look at 4'])
  t.same(images, [
    { name: 'here/a', sizeBytes: 4 * objectBytes, bytesByPeriods: [objectBytes, 2 * objectBytes, objectBytes] },
  ])
  t.same(origins, [{ name: 'here', type: 'bloom', sets: 2 }], 'an origin without hit sets has none')
})

t.test('a short last object counts for its own bytes, so that all together are the image', async t => {
  const { images } = await of(objectBytes + 5, [1, 1])
  t.same(images[0]!.bytesByPeriods, [5, objectBytes])
  const { images: warm } = await of(objectBytes + 5, [0, 2])
  t.same(warm[0]!.bytesByPeriods, [0, objectBytes + 5])
  const { images: empty } = await of(0, [0, 0])
  t.same(empty[0]!.bytesByPeriods, [0, 0])
})
