/** Node ids. */
import t from 'tap'
import { directoryNodeId, reservedNodeIds } from '../../../src/fuse/filesystem/backend.ts'
import { Nodes } from '../../../src/fuse/filesystem/nodes.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'

t.test('a forgotten image is found again, and keeps its node id', async t => {
  const backend = new FakeBackend()
  const known = backend.add({ name: 'a', sizeBytes: 10 })
  const nodes = new Nodes(backend)
  nodes.remember(known)
  nodes.remember(known)
  t.equal(nodes.count, 1)
  t.equal(nodes.image(known.nodeId), known)
  t.equal(backend.counts.imageOf, 0, 'remembered: nobody is asked')
  nodes.forget(known.nodeId, 1)
  t.equal(nodes.count, 1)
  nodes.forget(known.nodeId, 1)
  t.equal(nodes.count, 0)
  t.equal(nodes.image(known.nodeId).image, known.image)
  t.equal(backend.counts.imageOf, 1)
})

t.test('more forgets than lookups harm nothing', async t => {
  const backend = new FakeBackend()
  const known = backend.add({ name: 'a', sizeBytes: 10 })
  const nodes = new Nodes(backend)
  nodes.remember(known)
  nodes.forget(known.nodeId, 2 ** 64)
  nodes.forget(known.nodeId, 1)
  nodes.forget(12345n, 1)
  t.equal(nodes.count, 0)
  nodes.remember(known)
  t.equal(nodes.count, 1)
})

t.test('node ids that stand for nothing are stale', async t => {
  const nodes = new Nodes(new FakeBackend(['one', 'two']))
  for (const nodeId of [0n, 4n, directoryNodeId('three'), reservedNodeIds, reservedNodeIds + 9n, 2n ** 64n - 1n]) {
    t.throws(() => nodes.get(nodeId), { code: 'stale-node' }, String(nodeId))
  }
  t.match(nodes.get(1n), { kind: 'directory', place: { directory: null, prefix: '' } })
  t.match(nodes.get(directoryNodeId('one')), { kind: 'directory', place: { directory: 'one' } })
  t.match(nodes.get(directoryNodeId('two')), { kind: 'directory', place: { directory: 'two' } })
  t.match(nodes.directoryNamed('two'), { nodeId: directoryNodeId('two') })
  t.equal(nodes.directoryNamed('three'), null)
})

t.test('the node id of a directory depends on nothing but its name', async t => {
  const [before, after] = [new Nodes(new FakeBackend(['b', 'c'])), new Nodes(new FakeBackend(['a', 'c', 'b']))]
  for (const name of ['b', 'c']) {
    const { nodeId } = before.directoryNamed(name)!
    t.ok(nodeId > 1n && nodeId <= reservedNodeIds)
    t.match(after.get(nodeId), { place: { directory: name }, nodeId })
  }
  t.equal(directoryNodeId('debian'), 0x15737d981n, 'and is the same in every version')
})

t.test('directories and images are not taken for each other', async t => {
  const backend = new FakeBackend()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 10 })
  const nodes = new Nodes(backend)
  t.throws(() => nodes.image(1n), { code: 'is-a-directory' })
  t.throws(() => nodes.directory(nodeId), { code: 'not-a-directory' })
})

t.test('an image with the node id of a directory is a bug that shows', async t => {
  const nodes = new Nodes(new FakeBackend())
  const { image } = new FakeBackend().add({ name: 'a', sizeBytes: 10 })
  t.throws(() => nodes.remember({ image, nodeId: reservedNodeIds }))
  t.throws(() => nodes.remember({ image, nodeId: 1n << 63n }))
})

t.test('a nested directory stays until the kernel has taken back every lookup', async t => {
  const nodes = new Nodes(new FakeBackend())
  const place = { directory: null, prefix: 'a/' }
  const { nodeId } = nodes.rememberNested(place)
  nodes.rememberNested(place)
  nodes.forget(nodeId, 1)
  t.same(nodes.directory(nodeId).place, place, 'no backend knows it any more')
  nodes.forget(nodeId, 1)
  t.throws(() => nodes.directory(nodeId), { code: 'stale-node' })
})
