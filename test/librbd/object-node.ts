/** Node ids of the object view: what they say, and where they lie in an image. */
import t from 'tap'
import {
  imagePartOf,
  objectNamed,
  objectNodeId,
  objectNodeOf,
  orderOf,
  placeOfObject,
} from '../../src/librbd/object-node.ts'

t.test('an id says image, size and number of an object, to the last bit', async t => {
  for (const node of [
    { image: 1, order: 12, number: 0 },
    { image: 2 ** 32 - 1, order: 27, number: 2 ** 28 - 1 },
    { image: imagePartOf((1n << 62n) - 1n), order: 22, number: 63 },
  ]) {
    const id = objectNodeId(node)
    t.same(objectNodeOf(id), node)
    t.same(objectNamed(id.toString(16).padStart(16, '0')), node)
  }
})

t.test('other names and sizes are none', async t => {
  for (const name of ['', 'absent', '0', '000000000000000G', '00000000000000000']) t.equal(objectNamed(name), null)
  t.same([2 ** 11, 2 ** 28, 3 * 2 ** 20, 4096, 2 ** 27].map(orderOf), [null, null, null, 12, 27])
})

t.test('the last object ends with the image, and none lies behind it', async t => {
  const at = (number: number) => placeOfObject({ image: 1, order: 22, number }, 2 ** 22 + 5)
  t.same([at(0), at(1), at(2)], [{ offset: 0, bytes: 2 ** 22 }, { offset: 2 ** 22, bytes: 5 }, null])
})
