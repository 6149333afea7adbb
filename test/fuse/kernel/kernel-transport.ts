/** From INIT, or from what a predecessor negotiated, to the end. */
import { constants } from 'node:os'
import t from 'tap'
import { forwardedNodeId, passthroughNodeId } from '../../../src/fuse/filesystem/passthrough.ts'
import { hasResend, type Negotiated } from '../../../src/fuse/kernel/negotiation.ts'
import { opcodes } from '../../../src/fuse/kernel/opcodes.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { fakeTransport } from '../../fixtures/fake-transport.ts'
import { initBody, openBody, readBody } from '../../fixtures/fuse-bodies.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const errno = constants.errno
const init = (minor: number, major = 7) => ({ opcode: opcodes.INIT, nodeId: 0n, body: initBody(minor, -1, -1, major) })

t.test('INIT is answered once its result is kept', async t => {
  let kept: Negotiated | null = null
  let go = () => {}
  const { session, transport } = fakeTransport(new FakeBackend(), {
    negotiated: null,
    onNegotiated: async negotiated => {
      kept = negotiated
      await new Promise<void>(resolve => (go = resolve))
    },
  })
  const reply = session.ask(init(45))
  await until(() => kept !== null, patienceMs, 'told')
  t.equal(session.replies.length, 0)
  go()
  t.equal((await reply).bytes.length, 64)
  t.same(await transport.ready, kept)
  t.same(session.notifications, [])
})

t.test('a kernel of a later major version is asked again, an old one refused', async t => {
  const { session, transport } = fakeTransport(new FakeBackend(), { negotiated: null })
  const again = await session.ask(init(0, 8))
  t.same([again.errno, Buffer.from(again.bytes).readUInt32LE(0)], [0, 7])
  await session.ask(init(45))
  t.match(await transport.ready, { minor: 45 })
  const old = fakeTransport(new FakeBackend(), { negotiated: null })
  t.equal((await old.session.ask(init(20))).errno, errno.EPROTO)
  await t.rejects(old.transport.ready, { code: 'foreign-protocol' })
})

t.test('a successor needs no INIT, and asks for what was left unanswered', async t => {
  const negotiated = { minor: 45, flags: 1 << 30, flags2: hasResend, maxReadaheadBytes: 131072 }
  const { backend, session, transport } = fakeTransport(new FakeBackend(), { negotiated })
  t.same(session.notifications, [7])
  t.same(await transport.ready, negotiated)
  const { nodeId, image } = backend.add({ name: 'a', sizeBytes: 1000 })
  const unique = (1n << 63n) | 6n
  const reply = await session.ask({ opcode: opcodes.READ, nodeId, body: readBody(nodeId, 5, 10), unique })
  t.same([reply.unique, reply.bytes], [unique, backend.bytesOf(image, 5, 10)])
  const without = fakeTransport(new FakeBackend(), { negotiated: { ...negotiated, flags2: 0 } })
  t.same(without.session.notifications, [])
})

t.test('stopping answers nothing more, ends the work below, and gives images back', async t => {
  const { backend, session, transport } = fakeTransport()
  const { nodeId, image } = backend.add({ name: 'a', sizeBytes: 1000 })
  await session.ask({ opcode: opcodes.OPEN, nodeId, body: openBody(0) })
  backend.holdUntil = { method: 'read', promise: new Promise(() => {}) }
  session.send({ opcode: opcodes.READ, nodeId, body: readBody(nodeId, 0, 10) })
  await until(() => backend.signals.length === 1, patienceMs, 'the read has begun')
  const stopping = transport.stop()
  t.equal(transport.stop(), stopping)
  await stopping
  t.equal(await transport.ended, 0)
  t.equal(session.stopped, true)
  t.equal(backend.signals[0]?.aborted, true)
  await until(() => backend.opens.get(image.id) === 0, patienceMs, 'released')
  session.send({ opcode: opcodes.STATFS })
  t.equal(session.replies.length, 1, 'only the open was answered')
})

t.test('the end of the session ends the work below', async t => {
  const { backend, session, transport } = fakeTransport()
  t.teardown(() => transport.stop())
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  backend.holdUntil = { method: 'read', promise: new Promise(() => {}) }
  session.send({ opcode: opcodes.READ, nodeId, body: readBody(nodeId, 0, 10) })
  await until(() => backend.signals.length === 1, patienceMs, 'the read has begun')
  session.end(errno.ENODEV)
  t.equal(backend.signals[0]?.aborted, true)
})

t.test('an image is known while the kernel keeps any of its nodes', async t => {
  const backend = new FakeBackend()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  const kept = new Set<bigint>()
  const writeAside = async (bytes: Uint8Array) => {
    // Source: Linux include/uapi/linux/fuse.h, fuse_notify_inval_inode_out: the node follows a head of 16 bytes.
    if (!kept.has(Buffer.from(bytes).readBigUInt64LE(16))) throw Object.assign(new Error('unknown'), { code: 'ENOENT' })
  }
  const { transport } = fakeTransport(backend, { writeAside })
  t.equal(await transport.knows(nodeId, null), false)
  for (const node of [nodeId, passthroughNodeId(nodeId), forwardedNodeId(nodeId)]) {
    kept.add(node)
    t.equal(await transport.knows(nodeId, null), true, `${node}`)
    kept.delete(node)
  }
})

t.test('the end of the session says why, also before INIT', async t => {
  const { session, transport } = fakeTransport(new FakeBackend(), { negotiated: null })
  session.end(errno.ENODEV)
  t.equal(await transport.ended, errno.ENODEV)
  await t.rejects(transport.ready)
})
