/** Known images: by id, by node, and in the order of their last use. */
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { KnownImages } from '../../../src/cache/names/known-images.ts'

const reservedNodeIds = 100n
const idOf = (digits: string) => digits.padEnd(32, '0')

function entryOf(images: KnownImages, digits: string) {
  const facts = identify({ origin: 'memory://', key: digits, sizeBytes: 1, validator: '1', modifiedMs: 0 })
  const id = idOf(digits)
  return { image: { ...facts, id }, nodeId: images.nodeIdFor(id) }
}

t.test('a node id is 62 bits of the id, none that is reserved, and the next one where that is taken', async t => {
  const images = new KnownImages(reservedNodeIds)
  t.equal(images.nodeIdFor(idOf('ffffffffffffffff')), 2n ** 62n - 1n)
  t.equal(images.nodeIdFor(idOf('0000000000000000')), 101n)
  t.equal(images.nodeIdFor(idOf('0000000000000190')), 101n, '100 is reserved')
  const first = entryOf(images, '1000000000000000')
  images.remember(first)
  const second = entryOf(images, '1000000000000001') // Another id with the same 62 bits.
  t.equal(second.nodeId, first.nodeId + 1n)
  images.remember(second)
  t.same([images.ofNode(first.nodeId), images.ofNode(second.nodeId)], [first, second])
})

t.test('the image that was not used for longest comes first, and a use is seen', async t => {
  const images = new KnownImages(reservedNodeIds)
  const entries = ['a', 'b', 'c'].map(digits => entryOf(images, digits))
  for (const entry of entries) images.remember(entry)
  const before = [...images.all()][0]!
  t.ok(images.isUnusedSince(before))
  images.use(before.entry.image.id)
  t.notOk(images.isUnusedSince(before))
  images.use(idOf('dd'))
  t.same(
    [...images.all()].map(({ entry }) => entry.image.key),
    ['b', 'c', 'a'],
  )
  t.equal(images.size, 3, 'one that is unknown stays so')
})

t.test('an image that is forgotten is found neither by id nor by node', async t => {
  const images = new KnownImages(reservedNodeIds)
  const entry = entryOf(images, 'a')
  images.remember(entry)
  const [known] = images.all()
  images.forget(entry)
  t.same([images.find(entry.image.id), images.ofNode(entry.nodeId), images.size, images.ids()], [null, null, 0, []])
  t.notOk(images.isUnusedSince(known!))
})
