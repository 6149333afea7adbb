/** Opens of origins' own files, without a kernel. */
import { constants } from 'node:fs'
import t from 'tap'
import { presentationDefault } from '../../../src/fuse/filesystem/attributes.ts'
import { FileSystem } from '../../../src/fuse/filesystem/file-system.ts'
import { Forwarding } from '../../../src/fuse/filesystem/forwarding.ts'
import { forgottenNodesMax } from '../../../src/fuse/filesystem/limits.ts'
import { forwardedNodeId, isForwardedNode, ownNodeId } from '../../../src/fuse/filesystem/passthrough.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { FakeSession } from '../../fixtures/fake-session.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const { signal } = new AbortController()

function setUp({ isTakenOver = false } = {}) {
  const backend = new FakeBackend()
  const known = backend.add({ name: 'a', sizeBytes: 5 })
  const session = new FakeSession({ onRequests: () => {}, onReports: () => {}, onEnd: () => {} })
  const state = { off: null as string | null, nowMs: 0, forgotten: new Set<bigint>(), asked: 0 }
  const kernel = {
    off: () => state.off,
    readsDirect: false,
    openBacking: (fd: number) => session.openBackingOf(fd),
    closeBacking: (id: number) => session.closeBacking(id),
    isTakenOver,
    hasForgotten: async (nodeId: bigint) => {
      state.asked++
      return state.forgotten.has(nodeId)
    },
  }
  const forwarding = new Forwarding(backend.forwarding, kernel, keepingLogger(), () => state.nowMs)
  backend.forwarded.add(known.image.id)
  const held = () => backend.held.get(known.image.id) ?? 0
  const presentation = presentationDefault()
  const fileSystem = () =>
    new FileSystem({ backend, presentation, passthrough: null, forwarding, binder: session, firstDirectoryHandle: 1n })
  return { backend, known, session, state, forwarding, held, fileSystem }
}

t.test('an image that is forwarded has a third node, whose opens share one backing file', async t => {
  const { backend, known, session, forwarding, held } = setUp()
  const told = forwarding.choose(known)!
  t.ok(isForwardedNode(told.nodeId))
  t.equal(ownNodeId(told.nodeId), known.nodeId)
  const [one, two] = await Promise.all([forwarding.open(told, false, signal), forwarding.open(told, false, signal)])
  t.equal(one!.backingId, two!.backingId)
  t.same([session.backings.size, held()], [1, 2])
  t.same(backend.ownFiles, { given: 2, closed: 2 }, 'the kernel holds the file by itself')
  forwarding.release(one!.handle)
  t.equal(session.backings.size, 1)
  forwarding.release(two!.handle)
  t.same([session.backings.size, held()], [0, 0])
  backend.forwarded.clear()
  t.equal(forwarding.choose(known), null, 'in another mode')
})

t.test('what cannot be given is stale, holds nothing, and is not told again at once', async t => {
  const { backend, known, session, state, forwarding, held } = setUp()
  const told = forwarding.choose(known)!
  session.backingErrno = 'ELOOP'
  await t.rejects(forwarding.open(told, false, signal), { code: 'stale-node' })
  t.same([held(), backend.ownFiles.closed], [0, 1])
  t.equal(forwarding.choose(known), null)
  session.backingErrno = null
  state.nowMs += 10_000
  t.ok(forwarding.choose(known), 'a file system that cannot is no reason against others')
  state.off = 'no more'
  await t.rejects(forwarding.open(told, false, signal), { code: 'stale-node' })
  state.off = null
  forwarding.close()
  await t.rejects(forwarding.open(told, false, signal), { code: 'stale-node' }, 'another worker serves')
  t.equal(held(), 0)
})

t.test('after a takeover an image is forwarded once the kernel has forgotten the node', async t => {
  const { known, state, forwarding, held } = setUp({ isTakenOver: true })
  const asked = async () => {
    const chosen = forwarding.choose(known)
    await new Promise(resolve => setImmediate(resolve))
    return chosen
  }
  const nodeId = forwardedNodeId(known.nodeId)
  t.equal(await asked(), null)
  t.equal(await asked(), null, 'an earlier process may have opened it')
  await t.rejects(forwarding.open({ image: known.image, nodeId }, false, signal), { code: 'stale-node' })
  t.equal(held(), 0)
  state.nowMs += 10_000
  state.forgotten.add(nodeId)
  t.equal(await asked(), null)
  t.equal((await asked())?.nodeId, nodeId)
  const { asked: times } = state
  for (let k = 0; k < 10; k++) await asked()
  t.equal(state.asked, times, 'it is asked no more')
  // One more than is remembered: the first one is asked about again.
  for (let k = 1n; k <= BigInt(forgottenNodesMax); k++) {
    const other = { image: known.image, nodeId: known.nodeId + k }
    state.forgotten.add(forwardedNodeId(other.nodeId))
    forwarding.choose(other)
  }
  await asked()
  t.equal(state.asked, times + forgottenNodesMax + 1)
})

t.test('reads of an open with O_DIRECT come to us', async t => {
  const { backend, known, session, held, fileSystem } = setUp()
  const files = fileSystem()
  const { nodeId } = files.remember(known)
  const opened = await files.open(nodeId, constants.O_DIRECT, { signal })
  t.ok(opened.isServed)
  const read = await files.read({ nodeId, handle: opened.handle }, 1, 3, { signal })
  t.same(read, backend.bytesOf(known.image, 1, 3))
  t.same([held(), files.gauges().openImages], [1, 1])
  t.ok(files.knows(known.nodeId))
  files.release(opened.handle)
  t.same([session.backings.size, held()], [0, 0])
})
