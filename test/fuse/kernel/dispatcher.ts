/** Every request is answered once: failures, bugs, kills, deadlines, readers that have gone. */
import { constants } from 'node:os'
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { opcodes } from '../../../src/fuse/kernel/opcodes.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { fakeTransport } from '../../fixtures/fake-transport.ts'
import { bytesFrom, nameBody, openBody, readBody } from '../../fixtures/fuse-bodies.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const errno = constants.errno

/** A backend with one image: calls of `method` hang until `go` is called. */
function hanging(method: string) {
  const backend = new FakeBackend()
  const known = backend.add({ name: 'a', sizeBytes: 1000 })
  let go = () => {}
  backend.holdUntil = { method, promise: new Promise(resolve => (go = resolve)) }
  return { backend, known, go: () => go() }
}

t.test('requests in one batch are answered each by its own unique', async t => {
  const { backend, session } = fakeTransport()
  backend.add({ name: 'a', sizeBytes: 10 })
  const uniques = [(1n << 63n) | 100n, 102n, 104n]
  const replies = uniques.map(unique => session.replyTo(unique))
  session.send(
    { opcode: opcodes.LOOKUP, body: nameBody('a'), unique: uniques[0]! },
    { opcode: opcodes.STATFS, unique: uniques[1]! },
    { opcode: opcodes.LOOKUP, body: nameBody('missing'), unique: uniques[2]! },
  )
  t.same(
    (await Promise.all(replies)).map(({ errno }) => errno),
    [0, 0, errno.ENOENT],
  )
  t.equal(session.replies.length, 3)
})

t.test('a bug below is an input/output error and one line with the opcode', async t => {
  const { backend, session, logger, transport } = fakeTransport()
  backend.imageOf = () => {
    throw new TypeError('a bug')
  }
  t.equal((await session.ask({ opcode: opcodes.GETATTR, nodeId: 2n ** 40n, body: Buffer.alloc(16) })).errno, errno.EIO)
  backend.failWith = { method: 'lookup', error: new RangeError('another') }
  t.equal((await session.ask({ opcode: opcodes.LOOKUP, body: nameBody('a') })).errno, errno.EIO)
  const lines = logger.lines.filter(({ level }) => level === 'error')
  t.match(lines, [{ facts: { opcode: 'GETATTR' } }, { facts: { opcode: 'LOOKUP' } }])
  t.equal(lines.length, 2)
  t.equal(transport.gauges().failed, 2)
})

t.test('a read that came out too short is an error, never a short reply', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  backend.lieBytes = 1
  const reply = await session.ask({ opcode: opcodes.READ, nodeId, body: readBody(nodeId, 0, 100) })
  t.same([reply.errno, reply.bytes.length], [errno.EIO, 0])
})

t.test('what an origin says reaches the reader', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  const cases = [
    ['origin-timeout', errno.EIO],
    ['access-denied', errno.EACCES],
    ['image-changed', errno.ESTALE],
  ] as const
  for (const [code, expected] of cases) {
    backend.failWith = { method: 'read', error: new CacheError(code, '') }
    const reply = await session.ask({ opcode: opcodes.READ, nodeId, body: readBody(nodeId, 0, 100) })
    t.equal(reply.errno, expected, code)
  }
})

t.test('a request that nothing answers ends at its deadline, and the work below is told', async t => {
  const { backend, known } = hanging('read')
  const { session, transport } = fakeTransport(backend, { deadlineMs: 20 })
  const { nodeId } = known
  const reply = await session.ask({ opcode: opcodes.READ, nodeId, body: readBody(nodeId, 0, 100) })
  t.equal(reply.errno, errno.EIO)
  t.equal(backend.signals[0]?.aborted, true)
  t.match(transport.gauges(), { expired: 1, inFlight: 0 })
  // The error that the abort makes the backend throw arrives within one iteration.
  await new Promise(resolve => setImmediate(resolve))
  t.equal(session.replies.length, 1, 'it is not answered again')
})

t.test('a read may have a deadline of its own, or none', async t => {
  const { backend, known, go } = hanging('read')
  const { session, transport } = fakeTransport(backend, { deadlineMs: 20, readDeadlineMs: null })
  const { nodeId } = known
  const reply = session.ask({ opcode: opcodes.READ, nodeId, body: readBody(nodeId, 0, 100) })
  await new Promise(resolve => setTimeout(resolve, 60))
  t.match(transport.gauges(), { expired: 0, inFlight: 1 })
  go()
  t.equal((await reply).errno, 0)
})

t.test('an open that ends after its deadline is taken back', async t => {
  const { backend, known, go } = hanging('open')
  const { session, transport } = fakeTransport(backend, { deadlineMs: 20 })
  const { nodeId, image } = known
  t.equal((await session.ask({ opcode: opcodes.OPEN, nodeId, body: openBody(0) })).errno, errno.EIO)
  go()
  await until(() => backend.opens.get(image.id) === 0, patienceMs, 'the backend has its image back')
  t.equal(transport.gauges().openImages, 0)
  t.equal(session.replies.length, 1)
})

t.test('what the kernel no longer waited for is taken back', async t => {
  const { backend, session, transport } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  session.replyErrno = errno.ENOENT
  await session.ask({ opcode: opcodes.LOOKUP, body: nameBody('a') })
  await session.ask({ opcode: opcodes.OPEN, nodeId, body: openBody(0) })
  await session.ask({ opcode: opcodes.OPENDIR, body: openBody(0) })
  await session.ask({ opcode: opcodes.READDIRPLUS, body: readBody(77n, 0, 4096) })
  t.match(transport.gauges(), { nodes: 0, openImages: 0, unwanted: 4 })
})

t.test('a reader with a harmless signal is answered as if there had been none', async t => {
  const { backend, known, go } = hanging('read')
  const { session, transport } = fakeTransport(backend)
  const { nodeId } = known
  const unique = session.nextUnique()
  const reply = session.ask({ opcode: opcodes.READ, nodeId, body: readBody(nodeId, 0, 100), pid: process.pid, unique })
  session.send({ opcode: opcodes.INTERRUPT, nodeId: 0n, body: bytesFrom(['u64', unique]), unique: unique | 1n })
  await until(() => transport.gauges().interrupted === 1, patienceMs, 'the INTERRUPT has been looked at')
  t.equal(session.replies.length, 0)
  go()
  t.same([(await reply).errno, (await reply).bytes.length], [0, 100])
  t.match(transport.gauges(), { interrupted: 0, inFlight: 0, killed: 0 })
})

t.test('a reader that was killed gets EINTR at once, and the work below is told', async t => {
  const { backend, known } = hanging('read')
  const killed = new Set<number>()
  const { session, transport } = fakeTransport(backend, { wasKilled: pid => killed.has(pid) })
  const { nodeId } = known
  const unique = session.nextUnique()
  const reply = session.ask({ opcode: opcodes.READ, nodeId, body: readBody(nodeId, 0, 100), pid: 42, unique })
  await until(() => backend.signals.length === 1, patienceMs, 'the read has begun')
  session.send({ opcode: opcodes.INTERRUPT, nodeId: 0n, body: bytesFrom(['u64', unique]), unique: unique | 1n })
  t.equal(session.replies.length, 0, 'not killed yet')
  killed.add(42)
  t.equal((await reply).errno, errno.EINTR)
  t.equal(backend.signals[0]?.aborted, true)
  t.match(transport.gauges(), { interrupted: 0, inFlight: 0, killed: 1 })
})

t.test('an INTERRUPT of an unknown request is answered EAGAIN under its own unique', async t => {
  const { session } = fakeTransport()
  const reply = await session.ask({ opcode: opcodes.INTERRUPT, body: bytesFrom(['u64', 4242n]), unique: 4243n })
  t.equal(reply.errno, errno.EAGAIN)
})

t.test('broken FORGETs and INTERRUPTs get no answer and break nothing', async t => {
  const { session, transport } = fakeTransport()
  session.send({ opcode: opcodes.FORGET }, { opcode: opcodes.BATCH_FORGET }, { opcode: opcodes.INTERRUPT })
  await session.ask({ opcode: opcodes.STATFS })
  t.equal(session.replies.length, 1)
  t.equal(transport.gauges().malformed, 3)
})

t.test('a batch that has lost its frame is dropped from there on, and said', async t => {
  const { session, transport, logger } = fakeTransport()
  for (const length of [0, 39, 41, 0xffffffff]) {
    const bytes = Buffer.alloc(48)
    bytes.writeUInt32LE(length)
    session.sendRaw(bytes)
  }
  session.sendRaw(Buffer.alloc(16))
  t.equal(transport.gauges().malformed, 5)
  t.equal(logger.lines.filter(({ level }) => level === 'error').length, 5)
  t.equal(session.replies.length, 0)
})

t.test('requests are counted by name', async t => {
  const { session, transport } = fakeTransport()
  await session.ask({ opcode: opcodes.STATFS })
  await session.ask({ opcode: opcodes.STATFS })
  await session.ask({ opcode: 999 })
  await session.ask({ opcode: 998 })
  t.same(transport.gauges().requests, { STATFS: 2, UNKNOWN: 2 })
})
