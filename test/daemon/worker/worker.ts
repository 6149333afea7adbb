/** The worker between a supervisor and rooms that do as the test says. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fetchStatus, requestReload, requestUnmount } from '../../../src/admin/admin-client.ts'
import { noFleet } from '../../../src/admin/fleet-handlers.ts'
import type { RoomsMeasurements } from '../../../src/admin/measurements.ts'
import type { AdminOperations } from '../../../src/admin/routes.ts'
import type { CancelSignal } from '../../../src/base/cancel-signal.ts'
import { CacheError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type { Configuration } from '../../../src/daemon/config/configuration.ts'
import type { Settings } from '../../../src/daemon/config/settings.ts'
import { noTakeovers, protocolVersion, type ToSupervisor, type ToWorker } from '../../../src/daemon/ipc/messages.ts'
import type { RoomsStatus } from '../../../src/daemon/worker/collect-status.ts'
import { Worker } from '../../../src/daemon/worker/worker.ts'
import type { WorkerRooms } from '../../../src/daemon/worker/worker-rooms.ts'
import { noPoisonVerdict } from '../../../src/fuse/kernel/inflight-journal.ts'
import { deferred } from '../../fixtures/deferred.ts'
import { patienceMs, until } from '../../fixtures/until.ts'
import { liveStatus } from '../../fixtures/web-page.ts'

const negotiated = { minor: 45, flags: 1, flags2: 2, maxReadaheadBytes: 131072 }
const configuration = {
  mountpoint: '/mnt',
  ...{ transport: 'kernel', allowOther: true },
  cache: {},
  ...{ metrics: { port: null }, web: { listen: null }, librbd: { socket: null } },
  worker: { crashLimit: 5, stableAfter: 60_000 },
} as unknown as Configuration

const settings: Settings = {
  ...{ configFile: null, mountpoint: '/mnt', cacheDirectory: null, source: null },
  log: { level: 'info', pretty: false, file: null },
  document: {},
}
const boot = { type: 'boot', settings, keeperPid: 77, bypass: null, indexDoubt: null, isAwaited: true } as const
const change = (key: string) => ({ key, from: 'old', to: 'new' })

/** Result of a reload: one setting changes and one waits. */
function reconfigured(said: Configuration, happened: string[]) {
  happened.push(`reconfigure ${said.log.level}`)
  const [changed, waiting] = [[change('cache.capacity')], [change('transport')]]
  return { next: said, changed, waiting, kept: [['transport']], leaving: [] }
}

function mounterOf(mountpoint: string, happened: string[]) {
  return {
    adopt: async (fd: number | null) => void happened.push(`adopt ${fd}`),
    unmount: async (force: boolean) => void happened.push(`${force ? 'detach' : 'unmount'} ${mountpoint}`),
  }
}

/** Messages of a worker, the first word apart from the rest. */
function ear(happened: string[]) {
  const [first, said]: [ToSupervisor[], ToSupervisor[]] = [[], []]
  const send = async (message: ToSupervisor) => {
    if (message.type === 'hello') return void first.push(message)
    said.push(message)
    happened.push(message.type)
  }
  return { said, hello: () => first[0], send }
}

/** Rooms that do nothing but say so. @param ended settles when the session is over */
function roomsIn(happened: string[], socket: string, ended: Promise<string | null>, seen: () => number): WorkerRooms {
  return {
    source: 'http://origin/',
    mount: async () => void happened.push('mount'),
    librbd: { serve: () => {}, end: async () => {} } as unknown as WorkerRooms['librbd'],
    serve: async ({ fd, negotiated: before, onNegotiated }) => {
      happened.push(`serve ${fd}`)
      if (!before) await onNegotiated(negotiated)
    },
    ended: () => ended,
    status: () => ({ images: [] }) as unknown as RoomsStatus,
    ...{ live: () => liveStatus(), images: () => [], leaving: { start: () => {} } as never },
    ...{ measurements: () => ({}) as RoomsMeasurements, requestsSeen: seen },
    setCapacity: async bytes => bytes,
    reconfigure: async said => reconfigured(said, happened),
    ...{ operations: {} as AdminOperations, fleet: noFleet },
    mover: { move: async () => ({ version: 'next', refusal: null }), emptyLeft: async () => {} },
    stopServing: async () => void happened.push('stop serving'),
    close: async () => void happened.push(`close, admin ${existsSync(socket) ? 'up' : 'down'}`),
  }
}

/** A worker, and everything that happened around it, in order. */
function setUp(t: Pick<Test, 'teardown'>, openRooms?: (signal: CancelSignal) => Promise<WorkerRooms>) {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const socket = join(directory, 's')
  const happened: string[] = []
  const warned: object[] = []
  const warmed: string[] = []
  const logger = { ...silentLogger, warn: (facts: object) => void warned.push(facts) }
  const { said, hello, send } = ear(happened)
  const { channel, listen, disconnect } = fakeChannel(send)
  const { promise: ended, resolve: end } = deferred<string | null>()
  const rooms = roomsIn(happened, socket, ended, () => warmed.length)
  const worker = new Worker({
    channel,
    version: '1.2.3',
    addons: () => ['/a.node'],
    configure: ({ document }) => {
      if (document.bad) throw new CacheError('invalid-argument', 'not usable')
      return { ...configuration, log: { level: document.level ?? 'info' } } as Configuration
    },
    createLogger: async () => ({ logger, linesLost: () => 0 }),
    openRooms: async (_configuration, _logger, signal, { indexDoubt }) => {
      if (indexDoubt !== null) happened.push(`copy: ${indexDoubt}`)
      return openRooms?.(signal) ?? rooms
    },
    adminSocketPath: () => socket,
    checkLayout: () => {},
    admission: { peerUid: () => 0, uid: 0 },
    ...{ receiveFd: () => 9, writeNotes: () => {} },
    closeFd: fd => void happened.push(`close fd ${fd}`),
    mounter: mountpoint => mounterOf(mountpoint, happened),
    warmUp: async (_, isUnwanted) => {
      warmed.push(`after ${happened.at(-1)}`)
      if (isUnwanted()) warmed.push('unwanted')
    },
    exit: code => void happened.push(`exit ${code}`),
  })
  worker.run()
  const hear = (message: ToWorker) => listen(message)
  t.teardown(() => hear({ type: 'stop' })) // One that goes on would hold up the end of the tests.
  const saw = (what: string) => until(() => happened.includes(what), patienceMs, what)
  const bootIt = async () => {
    hear(boot)
    await saw('booted')
  }
  const serve = async (kept = false) => {
    await bootIt()
    hear({ type: 'mounted', negotiated: null, judgement: noPoisonVerdict, kept })
    await saw('ready')
  }
  const seen = { logger, warmed, warned, happened, said, hello, saw }
  return { ...seen, socket, rooms, hear, boot: bootIt, listen, serve, end, disconnect }
}

/** The worker's end of a channel, and what the supervisor does at its own. */
function fakeChannel(send: ConstructorParameters<typeof Worker>[0]['channel']['send']) {
  let [listener, onDisconnect]: [(value: unknown) => void, () => void] = [() => {}, () => {}]
  const channel = {
    send,
    onMessage: (given: (value: unknown) => void) => {
      listener = given
    },
    onDisconnect: (given: () => void) => {
      onDisconnect = given
    },
  }
  return { channel, listen: (value: unknown) => listener(value), disconnect: () => onDisconnect() }
}

const stopped = ['stop serving', 'close, admin down', 'close fd 9']

t.test('it boots, serves, and stops from the top down', async t => {
  const { happened, said, hello, hear, saw, serve, socket } = setUp(t)
  t.same(hello(), { type: 'hello', version: '1.2.3', protocol: protocolVersion }, 'its first word, unasked')
  await serve()
  t.same(happened, ['booted', 'adopt 9', 'serve 9', 'negotiated', 'ready'])
  t.match(said[0], { source: 'http://origin/', allowOther: true, addons: ['/a.node'] })
  t.match(await fetchStatus(socket), {
    version: '1.2.3',
    mountpoint: '/mnt',
    state: 'ready',
    supervisorPid: 77,
    bypass: null,
  })
  hear({ type: 'stop' })
  await saw('exit 0')
  t.same(happened.slice(5), [...stopped, 'exit 0'])
})

t.test('told to mount, it mounts, and takes it away when it is left alone', async t => {
  const { happened, boot: bootIt, hear, saw, disconnect } = setUp(t)
  await bootIt()
  hear({ type: 'mount' })
  await saw('ready')
  t.same(happened, ['booted', 'mount', 'adopt null', 'ready'])
  disconnect()
  await saw('exit 1')
  t.ok(happened.includes('detach /mnt'))
})

t.test('a reload that comes before it serves waits until it does, or ends', async t => {
  const { happened, hear, saw, serve } = setUp(t)
  hear({ type: 'reload', id: null, document: { level: 'debug' } })
  await serve()
  await saw('reconfigure debug')
  t.same(happened.slice(-3), ['ready', 'reconfigure debug', 'log-level'])
  const other = setUp(t)
  await other.boot()
  const refused = requestReload(other.socket)
  await other.saw('reload-request')
  const { id } = other.said.at(-1) as Extract<ToSupervisor, { type: 'reload-request' }>
  other.hear({ type: 'reload', id, document: { level: 'debug' } })
  other.hear({ type: 'stop' })
  await t.rejects(refused, { code: 'closed' })
  await other.saw('exit 0')
})

t.test('an unmount through the socket asks the supervisor, and hears its answer', async t => {
  const { said, hear, saw, serve, socket } = setUp(t)
  await serve()
  const asked = requestUnmount(socket, false)
  await saw('unmount')
  const request = said.at(-1) as Extract<ToSupervisor, { type: 'unmount' }>
  t.equal(request.force, false)
  const refusal = { code: 'mount-busy' as const, message: 'in use', holders: [] }
  hear({ type: 'unmount-answer', id: request.id, refusal })
  t.match(await asked, refusal)
  const forced = requestUnmount(socket, true)
  await until(() => said.filter(({ type }) => type === 'unmount').length === 2, patienceMs, 'the second request')
  hear({ type: 'unmount-answer', id: request.id + 1, refusal: null })
  hear({ type: 'stop' })
  t.equal(await forced, null, 'answered before it goes')
  await saw('exit 0')
})

t.test('a reload is asked of the supervisor, applied, and told', async t => {
  const { said, happened, hear, saw, serve, socket, logger } = setUp(t)
  await serve()
  const asked = requestReload(socket)
  await saw('reload-request')
  const { id } = said.at(-1) as Extract<ToSupervisor, { type: 'reload-request' }>
  hear({ type: 'reload', id, document: { level: 'debug', transport: 'new', mountpoint: '/elsewhere' } })
  t.same(await asked, {
    changed: [change('cache.capacity')],
    waiting: [{ key: 'mountpoint', from: '/mnt', to: '/elsewhere' }, change('transport')],
  })
  t.same(happened.slice(-3), ['reload-request', 'reconfigure debug', 'log-level'])
  t.same(said.at(-1), { type: 'log-level', level: 'debug', document: { level: 'debug' } }, 'without what waits')
  t.equal(logger.level, 'debug')
  // A signal gets no answer.
  hear({ type: 'reload', id: null, document: { level: 'warn' } })
  await saw('reconfigure warn')
  const refused = requestReload(socket)
  await until(() => said.filter(({ type }) => type === 'reload-request').length === 2, patienceMs, 'the second request')
  hear({ type: 'reload', id: id + 1, document: { bad: true } })
  await t.rejects(refused, { code: 'invalid-argument', message: /not usable/ })
  hear({ type: 'reload', id: null, document: { bad: true } })
  const failed = requestReload(socket)
  await until(() => said.filter(({ type }) => type === 'reload-request').length === 3, patienceMs, 'the third request')
  hear({ type: 'reload-failed', id: id + 2, code: 'invalid-argument', message: 'f:3:1: no' })
  await t.rejects(failed, { code: 'invalid-argument', message: /^f:3:1: no/ })
  t.equal(happened.filter(what => what.startsWith('reconfigure')).length, 2)
  t.equal(logger.level, 'warn')
  hear({ type: 'stop' })
  await saw('exit 0')
})

t.test('the end of the session is told, but not after a stop', async t => {
  const outside = setUp(t)
  await outside.serve()
  outside.end('reading failed')
  await outside.saw('ended')
  t.match(outside.said.at(-1), { type: 'ended', reason: 'reading failed' })
  outside.hear({ type: 'stop' })
  await outside.saw('exit 0')
  const ours = setUp(t)
  await ours.serve()
  ours.hear({ type: 'stop' })
  ours.end(null)
  await ours.saw('exit 0')
  t.notOk(ours.happened.includes('ended'))
})

t.test('a start that fails says why, and exits 1', async t => {
  const { said, saw, hear } = setUp(t, async () => {
    throw new CacheError('cache-locked', 'somebody has it')
  })
  hear(boot)
  await saw('exit 1')
  t.same(said, [{ type: 'failed', code: 'cache-locked', message: 'somebody has it' }])
})

t.test('a stop during the boot ends what the boot waits for', async t => {
  const { saw, hear } = setUp(t, signal => {
    return new Promise((_, reject) => {
      const give = () => reject(new CacheError('aborted', 'no longer wanted'))
      if (signal.aborted) give()
      else signal.addEventListener('abort', give)
    })
  })
  hear(boot)
  hear({ type: 'stop' })
  await saw('exit 1')
  t.pass('it ended')
})

t.test('left alone by its supervisor, it takes the mount away', async t => {
  const { happened, saw, serve, disconnect } = setUp(t)
  await serve()
  disconnect()
  await saw('exit 1')
  t.same(happened.slice(5), ['detach /mnt', ...stopped, 'exit 1'])
  const unmounted = setUp(t)
  await unmounted.boot()
  unmounted.disconnect()
  await unmounted.saw('exit 1')
  t.notOk(unmounted.happened.includes('detach /mnt'), 'nothing of ours is mounted before')
  const gone = setUp(t)
  await gone.serve()
  gone.end(null)
  await gone.saw('ended')
  gone.disconnect()
  await gone.saw('exit 1')
  t.notOk(gone.happened.includes('detach /mnt'), 'nor after somebody has unmounted it')
})

t.test('left alone by a supervisor whose mount is kept, it leaves that to the next one, at once', async t => {
  for (const whenServing of [true, false]) {
    const { happened, hear, serve, saw, disconnect } = setUp(t)
    await serve(whenServing)
    if (!whenServing) hear({ type: 'history', takeovers: noTakeovers, kept: true })
    disconnect()
    await saw('exit 1')
    t.notOk(happened.includes('detach /mnt'), `told at once: ${whenServing}`)
    // The worker has to close everything that would end with a process.
    hear({ type: 'stop' })
    await saw('exit 0')
  }
})

t.test('what a supervisor says that is no message is ignored, and told once', async t => {
  const { happened, warned, hear, saw, serve, listen } = setUp(t)
  await serve()
  for (let round = 0; round < 2; round++) {
    for (const value of [null, 'stop', { type: 'later' }, { type: 'mounted' }, { type: 'boot', settings: {} }])
      listen(value)
  }
  t.same(happened, ['booted', 'adopt 9', 'serve 9', 'negotiated', 'ready'])
  t.same(warned, [
    { type: '', why: 'unknown' },
    { type: 'later', why: 'unknown' },
    { type: 'mounted', why: 'malformed' },
    { type: 'boot', why: 'malformed' },
  ])
  hear({ type: 'stop' })
  await saw('exit 0')
})

t.test('it copies the index when its supervisor says why, and not for one of before, which says nothing', async t => {
  const told = setUp(t)
  told.hear({ ...boot, indexDoubt: 'a worker died' })
  await told.saw('booted')
  t.same(told.happened, ['copy: a worker died', 'booted'])
  const { indexDoubt: _, ...before } = boot
  const untold = setUp(t)
  untold.listen(before)
  await untold.saw('booted')
  t.same(untold.happened, ['booted'])
  for (const { hear, saw } of [told, untold]) {
    hear({ type: 'stop' })
    await saw('exit 0')
  }
})

t.test(
  'asked whether it could serve, a worker touches nothing, and names the version that every supervisor leads',
  async t => {
    const { hear, saw, said, happened } = setUp(t)
    hear({ type: 'prepare', settings: boot.settings, isAwaited: true })
    await saw('prepared')
    t.same(said, [{ type: 'prepared', version: '1.2.3', protocol: 1 }])
    t.same(happened, ['prepared'])
  },
)

t.test('a worker warms up once: before it serves where no guest waits, and not after a crash loop', async t => {
  const { isAwaited: _, ...older } = boot
  const asked = { type: 'prepare', settings: boot.settings, isAwaited: false } as const
  for (const [messages, expected] of [
    [[asked, { ...boot, isAwaited: false }], ['after undefined']],
    [[{ ...boot, isAwaited: false }], ['after undefined']],
    [[older], []],
    [[{ ...boot, bypass: 'a crash loop', isAwaited: false }], []],
  ] as const) {
    const { hear, saw, warmed } = setUp(t)
    for (const message of messages) {
      hear(message as ToWorker)
      await saw(message.type === 'boot' ? 'booted' : 'prepared')
    }
    t.same(warmed, expected, JSON.stringify(messages))
    hear({ type: 'stop' })
    await saw('exit 0')
  }
})

t.test('a worker that guests wait for warms up when it is idle, until they ask', async t => {
  const { serve, warmed } = setUp(t)
  await serve()
  await until(() => warmed.length > 0, patienceMs, 'it warms up')
  t.same(warmed, ['after ready', 'unwanted'])
})
