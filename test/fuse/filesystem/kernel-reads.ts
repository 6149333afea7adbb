/** The two ways in which the kernel reads by itself, as one: which node is told, and who answers for it. */
import t from 'tap'
import type { Forwarding } from '../../../src/fuse/filesystem/forwarding.ts'
import { KernelReads } from '../../../src/fuse/filesystem/kernel-reads.ts'
import { forwardedNodeId, type Passthrough, passthroughNodeId } from '../../../src/fuse/filesystem/passthrough.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'

const known = new FakeBackend().add({ name: 'a', sizeBytes: 5 })
const [passed, forwarded] = [passthroughNodeId(known.nodeId), forwardedNodeId(known.nodeId)]
const { signal } = new AbortController()

/** One way, as far as it is asked. */
function way(nodeIdOf: (nodeId: bigint) => bigint, handle: bigint, notOffered: typeof known | null) {
  const state = { offers: false, open: new Set<bigint>(), released: [] as bigint[], closed: 0 }
  const asked = {
    choose: () => (state.offers ? { image: known.image, nodeId: nodeIdOf(known.nodeId) } : notOffered),
    open: ({ nodeId }: { nodeId: bigint }) => {
      state.open.add(nodeId)
      return { handle, backingId: 1, isServed: false }
    },
    release: (released: bigint) => {
      state.released.push(released)
      return released === handle
    },
    isOpen: (nodeId: bigint) => state.open.has(nodeId),
    ids: () => (state.open.size > 0 ? [`image of ${handle}`] : []),
    close: () => void state.closed++,
  }
  return { state, asked }
}

function setUp() {
  const passthrough = way(passthroughNodeId, 1n, known)
  const forwarding = way(forwardedNodeId, 2n, null)
  const reads = new KernelReads(passthrough.asked as unknown as Passthrough, forwarding.asked as unknown as Forwarding)
  return { passthrough: passthrough.state, forwarding: forwarding.state, reads }
}

t.test('an image is told by the node of forwarding, else by that of passthrough, else by its own', async t => {
  const { passthrough, forwarding, reads } = setUp()
  t.equal(reads.choose(known), known)
  passthrough.offers = true
  t.equal(reads.choose(known).nodeId, passed)
  forwarding.offers = true
  t.equal(reads.choose(known).nodeId, forwarded)
  t.same(KernelReads.nodesOf(known.nodeId), [passed, forwarded])
  t.same([passed, forwarded, known.nodeId].map(KernelReads.has), [true, true, false])
})

t.test('an open goes where its node is from, and is stale where that way is not', async t => {
  const { passthrough, forwarding, reads } = setUp()
  const open = (by: KernelReads, nodeId: bigint) => by.open({ image: known.image, nodeId }, false, signal)
  t.match(await open(reads, passed), { handle: 1n })
  t.match(await open(reads, forwarded), { handle: 2n })
  t.same([...passthrough.open, ...forwarding.open], [passed, forwarded])
  t.same([...reads.ids()], ['image of 1', 'image of 2'])
  await t.rejects(open(reads, known.nodeId), { code: 'stale-node' })
  const neither = new KernelReads(null, null)
  for (const nodeId of [passed, forwarded]) await t.rejects(open(neither, nodeId), { code: 'stale-node' })
  t.same([neither.choose(known), neither.isOpen(known.nodeId), [...neither.ids()]], [known, false, []])
  neither.release(1n)
  neither.close()
})

t.test('an image is open by either way; a release reaches the one whose handle it is', async t => {
  const { passthrough, forwarding, reads } = setUp()
  t.equal(reads.isOpen(known.nodeId), false)
  passthrough.open.add(passed)
  t.equal(reads.isOpen(known.nodeId), true)
  passthrough.open.clear()
  forwarding.open.add(forwarded)
  t.equal(reads.isOpen(known.nodeId), true)
  reads.release(1n)
  t.same([passthrough.released, forwarding.released], [[1n], []])
  reads.release(2n)
  t.same([passthrough.released, forwarding.released], [[1n, 2n], [2n]])
  reads.close()
  t.same([passthrough.closed, forwarding.closed], [1, 1])
})
