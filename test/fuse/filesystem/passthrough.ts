/** Opens by passthrough, without a kernel. */
import { constants } from 'node:fs'
import t from 'tap'
import { presentationDefault } from '../../../src/fuse/filesystem/attributes.ts'
import { FileSystem } from '../../../src/fuse/filesystem/file-system.ts'
import { ownNodeId, Passthrough, passthroughNodeId } from '../../../src/fuse/filesystem/passthrough.ts'
import type { StoreFile } from '../../../src/native/addon.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { FakeSession } from '../../fixtures/fake-session.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const neverAborted = new AbortController().signal

function setUp({ readsDirect = false } = {}) {
  const backend = new FakeBackend()
  backend.file = {} as StoreFile
  const known = backend.add({ name: 'a', sizeBytes: 5 })
  const session = new FakeSession({ onRequests: () => {}, onReports: () => {}, onEnd: () => {} })
  const state = { off: null as string | null, nowMs: 0, forgotten: new Set<bigint>(), asked: 0 }
  const kernel = {
    off: () => state.off,
    readsDirect,
    openBacking: (file: StoreFile) => session.openBacking(file),
    closeBacking: (id: number) => session.closeBacking(id),
    hasForgotten: async (nodeId: bigint) => {
      state.asked++
      return state.forgotten.has(nodeId)
    },
  }
  const passthrough = new Passthrough(backend.passthrough, kernel, keepingLogger(), () => state.nowMs)
  const held = () => backend.held.get(known.image.id) ?? 0
  const offer = (offered: boolean) => backend.offered[offered ? 'add' : 'delete'](known.image.id)
  const open = () => [...passthrough.ids()].length
  /** As a process that serves the mount has it. */
  const fileSystem = (own: Passthrough | null) =>
    new FileSystem({
      backend,
      presentation: presentationDefault(),
      passthrough: own,
      binder: session,
      firstDirectoryHandle: 1n,
    })
  return { backend, known, session, state, passthrough, held, offer, open, fileSystem }
}

t.test('an image that is offered is told by its other node, whose opens share one backing file', async t => {
  const { known, session, passthrough, held, offer, open } = setUp()
  t.equal(passthrough.choose(known), known)
  offer(true)
  const told = passthrough.choose(known)
  t.same(told, { image: known.image, nodeId: passthroughNodeId(known.nodeId) })
  t.equal(ownNodeId(told.nodeId), known.nodeId)
  const [one, two] = [passthrough.open(told, false), passthrough.open(told, false)]
  t.equal(one.backingId, two.backingId)
  t.ok(one.handle >= 1n << 63n, 'no handle is a node id')
  t.same([session.backings.size, held(), open()], [1, 2, 1])
  t.equal(passthrough.release(known.nodeId), false, 'a handle of somebody else')
  t.equal(passthrough.release(one.handle), true)
  t.same([session.backings.size, held()], [1, 1])
  passthrough.release(two.handle)
  t.equal(passthrough.release(one.handle), false, 'never more often than it was opened')
  t.not(passthrough.open(told, false).handle, one.handle, 'a release that comes late is of no later open')
  passthrough.close()
  t.same([held(), open()], [0, 0])
})

t.test('an open with O_DIRECT is of the same backing file, and its reads come to us', async t => {
  const { backend, known, session, passthrough, held, offer, fileSystem } = setUp()
  offer(true)
  const files = fileSystem(passthrough)
  const { nodeId } = passthrough.choose(known)
  const passed = await files.open(nodeId, constants.O_RDONLY, { signal: neverAborted })
  const direct = await files.open(nodeId, constants.O_DIRECT, { signal: neverAborted })
  const another = await files.open(nodeId, constants.O_DIRECT, { signal: neverAborted })
  t.match(passed, { isServed: false, backingId: direct.backingId! })
  t.match(direct, { isServed: true, handle: another.handle })
  t.not(direct.handle, passed.handle)
  t.same([...session.bound], [[direct.handle, backend.file]], 'session threads answer')
  t.same([session.backings.size, held(), files.gauges().openImages], [1, 3, 1])
  const { signal } = new AbortController()
  const read = (from: FileSystem) => from.read({ nodeId, handle: direct.handle }, 1, 3, { signal })
  t.same(await read(files), backend.bytesOf(known.image, 1, 3))
  const successor = fileSystem(null)
  t.same(await read(successor), backend.bytesOf(known.image, 1, 3), 'of what an earlier process opened')
  successor.release(direct.handle)
  successor.close()
  files.release(direct.handle)
  files.release(passed.handle)
  t.same([session.backings.size, held()], [1, 1])
  files.release(another.handle)
  t.same([session.backings.size, held()], [0, 0])
  await until(() => session.bound.size === 0, patienceMs, 'that nothing is bound')
})

t.test('an open that cannot be bound holds nothing', async t => {
  const { backend, known, session, passthrough, held, offer, fileSystem } = setUp()
  offer(true)
  backend.failWith = { method: 'open', error: new Error('no') }
  await t.rejects(
    fileSystem(passthrough).open(passthroughNodeId(known.nodeId), constants.O_DIRECT, { signal: neverAborted }),
    { message: 'no' },
  )
  t.same([session.backings.size, held()], [0, 0])
})

t.test('where the kernel reads for O_DIRECT too, nothing comes to us', async t => {
  const { known, session, passthrough, offer, fileSystem } = setUp({ readsDirect: true })
  offer(true)
  const opened = await fileSystem(passthrough).open(passthroughNodeId(known.nodeId), constants.O_DIRECT, {
    signal: neverAborted,
  })
  t.equal(opened.isServed, false)
  t.equal(session.bound.size, 0)
})

t.test('what cannot be given is stale, and not told again at once', async t => {
  const { known, state, passthrough, held, offer } = setUp()
  offer(true)
  const told = passthrough.choose(known)
  offer(false)
  t.throws(() => passthrough.open(told, false), { code: 'stale-node' })
  offer(true)
  t.equal(passthrough.choose(known), known, 'the lookup that follows gives the node that can be opened')
  state.nowMs += 10_000
  t.same(passthrough.choose(known), told)
  state.off = 'the configuration says so'
  t.equal(passthrough.choose(known), known)
  t.throws(() => passthrough.open(told, false), { code: 'stale-node' })
  t.equal(held(), 0)
})

t.test('a kernel that takes no file is asked once', async t => {
  const { known, session, passthrough, held, offer, open } = setUp()
  offer(true)
  const told = passthrough.choose(known)
  session.backingErrno = 'ELOOP'
  t.throws(() => passthrough.open(told, false), { code: 'stale-node' })
  t.match(passthrough.off, /ELOOP/)
  t.same([held(), open()], [0, 0])
  t.equal(passthrough.choose(known), known)
})

t.test('at the end nothing is held, but backing ids stay for readers that have not come to take them', async t => {
  const { known, session, passthrough, held, offer, open } = setUp()
  offer(true)
  const told = passthrough.choose(known)
  const { handle } = passthrough.open(told, false)
  passthrough.open(told, false)
  passthrough.close()
  t.same([session.backings.size, held(), open()], [1, 0, 0])
  t.equal(passthrough.release(handle), false)
})

t.test('after a move of the cache an image is passed once the kernel has forgotten the node of before', async t => {
  const { backend, known, session, state, passthrough, held, offer } = setUp()
  offer(true)
  backend.passedElsewhere.add(known.image.id)
  const nodeId = passthroughNodeId(known.nodeId)
  const asked = async () => {
    const chosen = passthrough.choose(known)
    await new Promise(resolve => setImmediate(resolve))
    return chosen
  }
  t.equal(await asked(), known)
  t.equal(await asked(), known, 'a reader of before may have it open')
  t.throws(() => passthrough.open({ image: known.image, nodeId }, false), { code: 'stale-node' })
  t.same([session.backings.size, held()], [0, 0])
  await asked()
  state.nowMs += 10_000
  state.forgotten.add(nodeId)
  t.equal(await asked(), known)
  const told = await asked()
  t.equal(told.nodeId, nodeId)
  const opened = passthrough.open(told, false)
  t.same([session.backings.size, held()], [1, 1])
  const { asked: times } = state
  state.forgotten.delete(nodeId)
  t.equal((await asked()).nodeId, nodeId, 'the kernel knows it from us')
  passthrough.open(told, false)
  t.equal(state.asked, times, 'it is asked no more')
  passthrough.release(opened.handle)
  passthrough.release(opened.handle)
  t.same([session.backings.size, held()], [0, 0])
})

t.test('without a move the kernel is not asked', async t => {
  const { known, state, passthrough, offer } = setUp()
  offer(true)
  passthrough.open(passthrough.choose(known), false)
  t.equal(state.asked, 0)
})

t.test('an image that is open by passthrough is known, though nobody looked it up here', async t => {
  const { known, offer, passthrough, fileSystem } = setUp()
  offer(true)
  const files = fileSystem(passthrough)
  const { handle } = await files.open(passthroughNodeId(known.nodeId), 0, { signal: neverAborted })
  t.ok(files.knows(known.nodeId))
  files.release(handle)
  t.notOk(files.knows(known.nodeId))
})
