/** The worker's side of the librbd socket, without a cluster, a client and a kernel: what it tells its parts, and when. */
import t from 'tap'
import { identify } from '../../src/base/image.ts'
import type { CacheMode } from '../../src/cache/modes/cache-mode.ts'
import type { KnownImage } from '../../src/fuse/filesystem/backend.ts'
import { type Negotiated, negotiate } from '../../src/fuse/kernel/negotiation.ts'
import { notifyResend } from '../../src/fuse/kernel/notifications.ts'
import { opcodes } from '../../src/fuse/kernel/opcodes.ts'
import { LibrbdServer, type ObjectBackend } from '../../src/librbd/librbd-server.ts'
import { imagePartOf, objectNodeId } from '../../src/librbd/object-node.ts'
import type { StoreFile } from '../../src/native/addon.ts'
import type { LibrbdResponder, LibrbdThrottles, ParentName } from '../../src/native/librbd.ts'
import type { ParentFinder } from '../../src/origin/contract/parent-finder.ts'
import { FakeSession } from '../fixtures/fake-session.ts'
import { bytesFrom, initBody, readBody } from '../fixtures/fuse-bodies.ts'
import { type KeepingLogger, keepingLogger } from '../fixtures/keeping-logger.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const golden: KnownImage = {
  image: identify({ origin: 'rbd://pool/', key: 'a@v1', sizeBytes: 2 ** 23, validator: 'v', modifiedMs: 0 }),
  nodeId: 5n << 33n,
}
const part = imagePartOf(golden.nodeId)
const asked: ParentName = { poolId: 1n, snapshotId: 4n, namespace: '', prefix: 'rbd_data.1' }
const unlimited: LibrbdThrottles = { readsPerSecond: 0, readsBurst: 0, bytesPerSecond: 0, bytesBurst: 0 }
const agreed = negotiate({ major: 7, minor: 45, maxReadaheadBytes: 4096, flags: ~0, flags2: ~0 }, false)!

type Note = (...event: readonly unknown[]) => void

function scripted() {
  return {
    unknown: [] as ParentName[],
    mode: 'promote' as CacheMode,
    first: {} as StoreFile,
    fileOf: (): Promise<StoreFile | null> => Promise.resolve(null),
    onNegotiated: () => Promise.resolve(),
    wake: () => {},
  }
}
type Script = ReturnType<typeof scripted>

const responderOf = (note: Note, script: Script): LibrbdResponder => ({
  setParent: (name, parent) => note('known', name.snapshotId, parent.image, parent.file, parent.left),
  changeParent: (image, file, left) => note('changed', image, file, left),
  look: () => 0,
  refuseParent: () => note('refused'),
  removeParent: () => note('removed'),
  takeAsked: () => true,
  takeUnknown: () => script.unknown.splice(0),
  setThrottles: throttles => note('throttles', throttles.readsPerSecond),
  setColdPolicy: () => {},
  counters: () => ({ connections: 3, registered: 2, broken: 1, answers: [7, 8] }),
  retreat: () => note('retreat'),
  fallSilent: () => note('silent'),
  hangUp: () => note('hang up'),
  close: () => note('closed'),
})

const backendOf = (note: Note, script: Script): ObjectBackend => ({
  open: async () => script.first,
  release: image => note('released', image.key),
  read: async (_image, _offset, length) => Buffer.alloc(length, 7),
  fileOf: () => script.fileOf(),
  bufferTouched: (image, offset, length) => note('touched', image.key, offset, length),
  originReadBegun: (image, offset, length) => note('begun', image.key, offset, length),
  originReadDone: (image, length, ms) => note('done', image.key, length, ms),
  known: { imageWhere: holds => (holds(golden.nodeId) ? golden : null), imageOfName: () => null },
  lookup: async () => golden,
  residence: () => ({ mode: script.mode }),
})

const finder: ParentFinder = {
  url: 'rbd://pool/',
  findParent: async () => ({
    ...{ keys: ['a@v1'], validator: 'v', sizeBytes: 2 ** 23, objectBytes: 2 ** 22 },
    existing: null,
  }),
  hasParent: async () => true,
}

function serverWith(negotiated: Negotiated | null = null) {
  const [events, script, logger]: [unknown[], Script, KeepingLogger] = [[], scripted(), keepingLogger()]
  const note: Note = (...event) => void events.push(event.length === 1 ? event[0] : event)
  let session: FakeSession | undefined
  const server = new LibrbdServer({
    addon: {
      createLibrbdResponder: (channel, directory, onUnknown) => {
        note('responder', channel, directory)
        script.wake = onUnknown
        return responderOf(note, script)
      },
    },
    startSession: handlers => {
      t.equal(handlers.byObject, true)
      return (session = new FakeSession(handlers))
    },
    channel: 9,
    directory: '/view',
    backend: backendOf(note, script),
    presentation: { uid: 1, gid: 2, mode: 0o440, directoriesModifiedMs: 0 },
    places: () => [{ directory: null, finder }],
    throttles: { ...unlimited, readsPerSecond: 5 },
    logger,
    deadlines: { deadlineMs: 60_000, readDeadlineMs: 60_000 },
    negotiated,
    onNegotiated: () => script.onNegotiated(),
  })
  const learn = async () => {
    script.unknown = [asked]
    script.wake()
    await until(() => server.status().parentsKnown === 1, patienceMs, 'the parent')
    return events.splice(0)
  }
  return { server, session: session!, events, script, logger, learn }
}

t.test('a parent that is asked for is opened, bound and told; the status and an explanation say it', async t => {
  const { server, session, events, script, learn } = serverWith()
  t.same(events.splice(0), [
    ['responder', 9, '/view'],
    ['throttles', 5],
  ])
  t.same(await learn(), [['known', 4n, part, script.first, 0]])
  t.equal(session.bound.get(BigInt(part)), script.first)
  t.match(server.measurements(), { connections: 3, broken: 1, answers: { resident: 7, partial: 8 }, parentsKnown: 1 })
  t.equal(server.status().parents.length, 1)
  t.match(server.explain('rbd_data.1.0000000000000001'), {
    kind: 'resident',
    place: { image: 'a@v1', offset: 2 ** 22 },
  })
  server.setThrottles({ ...unlimited, readsPerSecond: 6 })
  t.same(events, [['throttles', 6]])
  await server.close()
})

t.test('reads of its objects are answered, and reports of them are of the image', async t => {
  const { server, session, events, learn } = serverWith()
  await learn()
  const nodeId = objectNodeId({ image: part, order: 22, number: 1 })
  const { errno, bytes } = await session.ask({ opcode: opcodes.READ, nodeId, body: readBody(0n, 0, 4) })
  t.same([errno, [...bytes]], [0, [7, 7, 7, 7]])
  const report = (kind: number, of: number) =>
    bytesFrom(['u32', kind], ['u32', 8], ['u64', BigInt(of)], ['u64', 16], ['u64', 2500])
  session.report(bytesFrom(report(1, part), report(2, part), report(3, part), report(1, part + 1), report(2, part + 1)))
  await until(() => events.length >= 3, patienceMs, 'the reports')
  t.same(events, [
    ['touched', 'a@v1', 16, 8],
    ['begun', 'a@v1', 16, 8],
    ['done', 'a@v1', 8, 2.5],
  ])
  await server.close()
})

t.test('other modes and other data files are told to both sides, the last one last', async t => {
  const { server, session, events, script, learn } = serverWith()
  await learn()
  let open = () => {}
  const gate = new Promise<void>(resolve => {
    open = resolve
  })
  script.fileOf = async () => {
    await gate
    return script.first
  }
  const slow = server.rebind()
  await new Promise(resolve => setImmediate(resolve))
  script.mode = 'forward'
  script.fileOf = async () => null
  const last = server.rebind()
  await new Promise(resolve => setImmediate(resolve))
  open()
  await Promise.all([slow, last])
  t.same(events, [
    ['changed', part, script.first, 1],
    ['changed', part, null, 1],
  ])
  t.notOk(session.bound.has(BigInt(part)))
  await server.close()
})

t.test('clients are let go in three steps; a session that ends has them read from their cluster', async t => {
  const { server, session, events, logger, learn } = serverWith()
  await learn()
  const ended = server.end()
  t.same(events, ['retreat'])
  t.equal(server.end(), ended)
  await ended
  t.same(events.splice(0), ['retreat', 'silent', 'hang up'])
  t.match(logger.lines.at(-1), { message: 'clients of librbd were let go' })
  session.end(19)
  t.same(events, ['retreat'])
  await server.close()
})

t.test('a close leaves clients to the next worker, and gives the images back', async t => {
  const { server, session, events, script, learn } = serverWith()
  await learn()
  const closed = server.close()
  t.equal(server.close(), closed)
  await closed
  await until(() => events.length === 3, patienceMs, 'the release')
  t.same(events, ['closed', 'retreat', ['released', 'a@v1']])
  t.ok(session.stopped)
  t.equal(session.bound.size, 0)
  script.unknown = [{ ...asked, snapshotId: 6n }]
  script.wake()
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  t.equal(events.length, 3, 'nobody is looked for any more')
})

t.test('INIT is answered when the supervisor has it; a later worker asks for what is open instead', async t => {
  const first = serverWith()
  let answered = false
  let know = () => {}
  first.script.onNegotiated = () =>
    new Promise(resolve => {
      know = resolve
    })
  const init = initBody(45, ~0 >>> 0, ~0 >>> 0)
  const reply = first.session.ask({ opcode: opcodes.INIT, nodeId: 0n, body: init }).then(reply => {
    answered = true
    return reply
  })
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  t.notOk(answered)
  know()
  t.equal((await reply).errno, 0)
  t.same(first.session.notifications, [])
  await first.server.close()
  const later = serverWith(agreed)
  t.same(later.session.notifications, [notifyResend])
  await later.server.close()
  const older = serverWith({ ...agreed, flags2: 0 })
  t.same(older.session.notifications, [])
  await older.server.close()
})
