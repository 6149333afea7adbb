/** Reports of session threads: what they say, what is refused, and when they are passed on. */
import { closeSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { reportsTogetherMax } from '../../../src/fuse/kernel/limits.ts'
import { opcodes } from '../../../src/fuse/kernel/opcodes.ts'
import { type ReadReportListener, reportsOf } from '../../../src/fuse/kernel/read-reports.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { rawRequest } from '../../fixtures/fake-session.ts'
import { fakeTransport } from '../../fixtures/fake-transport.ts'
import { bytesFrom, readBody } from '../../fixtures/fuse-bodies.ts'
import { pattern } from '../../fixtures/pattern.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

interface Report {
  readonly kind: number
  readonly length: number
  readonly handle: bigint
  readonly offset?: number | bigint
  readonly microseconds?: number
}

/** As native-bindings/session/read-reports.h writes one. */
function record({ kind, length, handle, offset = 500, microseconds = 0 }: Report): Uint8Array {
  return bytesFrom(['u32', kind], ['u32', length], ['u64', handle], ['u64', offset], ['u64', microseconds])
}

const touched = (handle: bigint, offset: number, length: number) => record({ kind: 1, length, handle, offset })

function originRead(handle: bigint, length: number, microseconds = 2500): Uint8Array {
  return record({ kind: 4, length, handle, microseconds })
}

/** Contents of each report of a batch, until one is malformed. */
function said(batch: Uint8Array): unknown[] {
  const heard: unknown[] = []
  const listener: ReadReportListener = {
    bufferTouched: (...range) => heard.push(['touched', ...range]),
    originReadBegun: (...read) => heard.push(['begun', ...read]),
    originReadDone: (...read) => heard.push(['done', ...read]),
  }
  try {
    for (const report of reportsOf(batch)) report(listener)
  } catch (error) {
    heard.push((error as { code: string }).code)
  }
  return heard
}

t.test('reports of a batch are read in order', async t => {
  const [large, end] = [2n ** 64n - 1n, 2 ** 46]
  const begun = record({ kind: 2, length: 8, handle: 7n })
  const done = record({ kind: 3, length: 8, handle: 7n, microseconds: 20 })
  t.same(said(bytesFrom(originRead(7n, 3), touched(large, end, 4096), begun, done)), [
    ['begun', 7n, 500, 3],
    ['done', 7n, 3, 2.5],
    ['touched', large, end, 4096],
    ['begun', 7n, 500, 8],
    ['done', 7n, 8, 0.02],
  ])
  t.same(said(new Uint8Array(0)), [])
})

t.test('a batch is refused from the first report on that is none', async t => {
  const good = touched(7n, 0, 10)
  const heard = ['touched', 7n, 0, 10]
  const batch = bytesFrom(good, originRead(7n, 3))
  for (let end = good.length + 1; end < batch.length; end++) {
    t.same(said(batch.subarray(0, end)), [heard, 'malformed'], `${end} bytes of ${batch.length}`)
  }
  const broken = {
    'no kind': record({ kind: 0, length: 1, handle: 7n }),
    'an unknown kind': record({ kind: 5, length: 1, handle: 7n }),
    'an offset that is no number': record({ kind: 1, length: 1, handle: 7n, offset: 2n ** 53n }),
  }
  for (const [what, bytes] of Object.entries(broken))
    t.same(said(bytesFrom(good, bytes, good)), [heard, 'malformed'], what)
})

t.test('reports are passed on for images that there are, and never answered', async t => {
  const { backend, session, transport, logger } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  session.report(
    bytesFrom(originRead(nodeId + 1n, 3), originRead(nodeId, 4), touched(nodeId + 1n, 0, 10), touched(nodeId, 500, 10)),
  )
  await until(() => backend.told.length > 1, patienceMs, 'the reports')
  const told = [
    { key: 'a', offset: 500, length: 4, begun: true },
    { key: 'a', offset: 500, length: 10 },
  ]
  t.same(backend.told, told)
  t.same(backend.answered, [{ key: 'a', length: 4, ms: 2.5 }])
  session.report(bytesFrom(touched(nodeId, 0, 10), new Uint8Array(31)))
  await until(() => backend.told.length > 2, patienceMs, 'the report before the malformed one')
  t.match(
    logger.lines.filter(({ level }) => level === 'error'),
    [{ facts: { bytes: 63 } }],
  )
  t.equal(session.replies.length, 0)
  t.same(transport.gauges().requests, {})
  session.report(bytesFrom(touched(nodeId, 0, 10), touched(nodeId, 0, 10)))
  await transport.stop()
  const after = backend.told.length
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  t.equal(backend.told.length, after, 'nothing is passed on once it is stopped')
})

t.test('reports that may wait are taken together, a moment later', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  session.waitingReports = touched(nodeId, 0, 10)
  session.report(null)
  session.waitingReports = bytesFrom(session.waitingReports, touched(nodeId, 100, 10))
  t.equal(backend.told.length, 0)
  await until(() => backend.told.length === 2, patienceMs, 'both')
})

t.test('many reports of one batch are all passed on, in their order', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  const offsets = Array.from({ length: 2 * reportsTogetherMax + 3 }, (_, k) => k)
  session.report(bytesFrom(...offsets.map(offset => touched(nodeId, offset, 10))))
  await until(() => backend.told.length === offsets.length, patienceMs, 'the reports')
  t.same(
    backend.told.map(({ offset }) => offset),
    offsets,
  )
})

t.test('requests that came together with a report go before it', async t => {
  const answeredBefore: number[] = []
  class Backend extends FakeBackend {
    override bufferTouched(): void {
      answeredBefore.push(session.replies.length)
    }
  }
  const { backend, session } = fakeTransport(new Backend())
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  session.send({ opcode: opcodes.STATFS }, { opcode: opcodes.STATFS }, { opcode: opcodes.STATFS })
  session.report(touched(nodeId, 0, 10))
  await until(() => answeredBefore.length > 0, patienceMs, 'the report')
  t.same(answeredBefore, [3])
})

t.test('what a session itself writes can be read', async t => {
  const addon = loadAddon()
  const engine = addon.createEngine({ storeThreads: 1 })
  const file = await engine.openFile(join(t.testdir(), 'data'), 2 ** 20, 65536)
  const [kernel, device] = addon.socketPair()
  const heard: unknown[] = []
  const session = engine.startSession(device, {
    threads: 1,
    onRequests: () => {},
    onReports: batch => heard.push(...said(batch ?? session.takeReports())),
    onEnd: () => {},
  })
  t.ok(file.insertBuffered(131072, pattern(1, 131072, 65536), 65536, 0n))
  session.bind(9n, file)
  const read = rawRequest({ opcode: opcodes.READ, nodeId: 9n, unique: 2n, body: readBody(9n, 135168, 4096) })
  writeSync(kernel, read)
  await until(() => heard.length > 0, patienceMs, 'the report')
  t.same(heard, [['touched', 9n, 135168, 4096]])
  await session.stop()
  session.unbind(9n)
  file.close()
  await engine.close()
  for (const fd of [kernel, device]) closeSync(fd)
})
