/** Opens by passthrough, without a kernel. */
import t from 'tap'
import { ownNodeId, Passthrough, passthroughNodeId } from '../../../src/fuse/filesystem/passthrough.ts'
import type { StoreFile } from '../../../src/native/addon.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { FakeSession } from '../../fixtures/fake-session.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

function setUp() {
  const backend = new FakeBackend()
  backend.file = {} as StoreFile
  const known = backend.add({ name: 'a', sizeBytes: 5 })
  const session = new FakeSession({ onRequests: () => {}, onReports: () => {}, onEnd: () => {} })
  const state = { off: null as string | null, nowMs: 0 }
  const kernel = {
    off: () => state.off,
    openBacking: (file: StoreFile) => session.openBacking(file),
    closeBacking: (id: number) => session.closeBacking(id),
  }
  const passthrough = new Passthrough(backend.passthrough, kernel, keepingLogger(), () => state.nowMs)
  const held = () => backend.held.get(known.image.id) ?? 0
  const offer = (offered: boolean) => backend.offered[offered ? 'add' : 'delete'](known.image.id)
  return { backend, known, session, state, passthrough, held, offer }
}

t.test('an image that is offered is told by its other node, whose opens share one backing file', async t => {
  const { known, session, passthrough, held, offer } = setUp()
  t.equal(passthrough.choose(known), known)
  offer(true)
  const told = passthrough.choose(known)
  t.same(told, { image: known.image, nodeId: passthroughNodeId(known.nodeId) })
  t.equal(ownNodeId(told.nodeId), known.nodeId)
  const [one, two] = [passthrough.open(told), passthrough.open(told)]
  t.equal(one.backingId, two.backingId)
  t.not(one.handle, two.handle)
  t.ok(one.handle >= 1n << 63n && two.handle >= 1n << 63n, 'no handle is a node id')
  t.same([session.backings.size, held(), passthrough.count], [1, 2, 1])
  t.equal(passthrough.release(known.nodeId), false, 'a handle of somebody else')
  t.equal(passthrough.release(one.handle), true)
  t.equal(passthrough.release(one.handle), false, 'once only')
  t.same([session.backings.size, held()], [1, 1])
  passthrough.release(two.handle)
  t.same([session.backings.size, held(), passthrough.count], [0, 0, 0])
})

t.test('what cannot be given is stale, and not told again at once', async t => {
  const { known, state, passthrough, held, offer } = setUp()
  offer(true)
  const told = passthrough.choose(known)
  offer(false)
  t.throws(() => passthrough.open(told), { code: 'stale-node' })
  offer(true)
  t.equal(passthrough.choose(known), known, 'the lookup that follows gives the node that can be opened')
  state.nowMs += 10_000
  t.same(passthrough.choose(known), told)
  state.off = 'the configuration says so'
  t.equal(passthrough.choose(known), known)
  t.throws(() => passthrough.open(told), { code: 'stale-node' })
  t.equal(held(), 0)
})

t.test('a kernel that takes no file is asked once', async t => {
  const { known, session, passthrough, held, offer } = setUp()
  offer(true)
  const told = passthrough.choose(known)
  session.backingErrno = 'ELOOP'
  t.throws(() => passthrough.open(told), { code: 'stale-node' })
  t.match(passthrough.off, /ELOOP/)
  t.same([held(), passthrough.count], [0, 0])
  t.equal(passthrough.choose(known), known)
})

t.test('at the end nothing is held', async t => {
  const { known, session, passthrough, held, offer } = setUp()
  offer(true)
  const told = passthrough.choose(known)
  const { handle } = passthrough.open(told)
  passthrough.open(told)
  session.backingErrno = 'ENODEV'
  passthrough.close()
  t.same([session.backings.size, held(), passthrough.count], [0, 0, 0])
  t.equal(passthrough.release(handle), false)
})
