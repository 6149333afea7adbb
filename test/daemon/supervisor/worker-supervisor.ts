/** Servers one after the other, as a keeper has them. */
import { once } from 'node:events'
import t from 'tap'
import { protocolVersion } from '../../../src/daemon/ipc/messages.ts'
import { restartPauseMsMax, serverHangMsMax } from '../../../src/daemon/supervisor/limits.ts'
import { FakeServer, negotiated, setUpKeeper as setUp, setUpSupervisor } from '../../fixtures/fake-server.ts'
import { until } from '../../fixtures/until.ts'

const patienceMs = 60_000

t.test('a server that dies is followed by another on the same descriptor, told what was agreed', async t => {
  const { server, servers, mounter, closed, keeper } = setUp()
  await keeper.start()
  mounter.busy = true
  server.kill()
  await until(() => servers[1]?.given !== undefined, patienceMs, 'the next server')
  t.same(servers[1]!.heard.slice(0, 3), ['boot', 'fd 77', 'mounted'])
  t.same(servers[1]!.given, negotiated)
  t.same(mounter.calls, ['mount http://origin/ true'])
  mounter.busy = false
  await keeper.handleSignal('SIGTERM')
  t.equal(await keeper.finished, 0)
  t.same(closed, [77])
  t.equal(servers.length, 2)
})

t.test('where requests are not repeated, the mount goes with its server, and another one is made', async t => {
  const { server, servers, mounter, closed, keeper } = setUp()
  server.agrees = { ...negotiated, flags2: 0 }
  await keeper.start()
  server.kill()
  await until(() => servers[1]?.given !== undefined, patienceMs, 'the next server')
  t.equal(servers[1]!.given, null, 'a descriptor with an INIT of its own')
  t.same(mounter.calls, ['mount http://origin/ true', 'force', 'mount http://origin/ true'])
  t.same(closed, [77], 'readers of the old one get an error')
  await keeper.handleSignal('SIGTERM')
  t.equal(await keeper.finished, 0)
})

t.test('where servers die of themselves the cache is passed by, and then an idle mount goes; exit 1', async t => {
  const { server, servers, mounter, closed, keeper, told } = setUp()
  await keeper.start()
  server.dies('SIGABRT')
  await until(() => servers[1]?.given !== undefined, patienceMs, 'the next server')
  servers[1]!.dies('SIGABRT')
  await until(() => servers[2]?.given !== undefined, patienceMs, 'the third server')
  t.same(
    servers.map(({ bypass }) => bypass),
    [null, null, '2 servers have died in a row (signal SIGABRT)'],
  )
  const failing = new FakeServer()
  failing.answer = message => message.type === 'boot' && failing.dies('SIGABRT')
  servers.push(failing)
  servers[2]!.dies('SIGABRT')
  t.equal(await keeper.finished, 1)
  t.equal(servers.length, 4)
  t.notOk(mounter.mounted)
  t.same(closed, [77])
  t.match(told.at(-1), /^stopping: 2 servers have died in a row/)
})

t.test('as long as anybody has the mount open, servers are started on and on; it is said once', async t => {
  const { supervisor, servers, doubts, pauses, state } = setUpSupervisor()
  state.isOpen = true
  await supervisor.start()
  state.starts = 'fail'
  servers[0]!.dies('SIGKILL')
  await until(() => doubts.length >= 20, patienceMs, 'many failed starts')
  t.equal(doubts[0], 'no server for 60 s (spawn ENOMEM)')
  t.same(new Set(doubts.slice(1)), new Set([null]), 'said once')
  t.equal(pauses[0], 0)
  t.same(new Set(pauses.slice(-19)), new Set([restartPauseMsMax]))
  t.notOk(state.givenUp)
  state.starts = 'work'
  await until(() => servers[1]?.given !== undefined, patienceMs, 'a server')
  t.equal(servers[1]!.bypass, null, 'the cache is not to blame')
  state.starts = 'fail'
  servers[1]!.dies('SIGKILL')
  await until(() => doubts.length >= 40, patienceMs, 'more of them')
  state.isOpen = false
  await until(() => state.givenUp !== null, patienceMs, 'the end, once nobody has it open')
  await supervisor.stop()
})

t.test('the mount of a keeper whose servers do not start stays while it is in use, and says why', async t => {
  const { server, mounter, keeper, troubles, told, servers } = setUp()
  await keeper.start()
  mounter.busy = true
  for (const k of [1, 3]) {
    const failing = new FakeServer()
    failing.answer = message => message.type === 'boot' && failing.dies('SIGABRT')
    servers[k] = failing
  }
  // Two deaths, the bypass, two more: then the longest pause.
  servers[2] = new FakeServer()
  server.dies('SIGABRT')
  await until(() => servers[2]?.given !== undefined, patienceMs, 'the one that passes the cache by')
  servers[2]!.dies('SIGABRT')
  await until(() => troubles.at(-1) !== null && troubles.length > 0, patienceMs, 'the trouble')
  t.match(troubles.at(-1), /^2 servers have died in a row/)
  t.match(told.at(-1), /another server is tried every 5 s, and readers wait/)
  t.ok(mounter.mounted)
  mounter.busy = false
  await keeper.handleSignal('SIGTERM')
  t.equal(await keeper.finished, 0, 'an unmount in the pause ends it at once')
})

t.test(
  'a server that is killed from outside says nothing of the cache; one that hangs and is killed by us does',
  async t => {
    const { supervisor, servers, state } = setUpSupervisor()
    await supervisor.start()
    for (let k = 0; k < 12; k++) {
      servers[k]!.dies('SIGKILL')
      await until(() => servers[k + 1]?.given !== undefined, patienceMs, 'the next server')
    }
    t.same(new Set(servers.map(({ bypass }) => bypass)), new Set([null]))
    for (let k = 12; k < 14; k++) {
      // It answers no question: the pulse asks, waits, and kills.
      const hanging = servers[k]!
      hanging.answer = () => {}
      await until(() => hanging.heard.includes('ping'), patienceMs, 'a question')
      state.nowMs += serverHangMsMax + 1
      await until(() => servers[k + 1]?.given !== undefined, patienceMs, 'the server after one that hung')
      t.ok(hanging.heard.includes('kill'))
    }
    t.match(servers[14]!.bypass, /^2 servers have died in a row/)
    await supervisor.stop()
  },
)

t.test('one that does not say who it is, or speaks another language, is told nothing, and another follows', async t => {
  const { supervisor, servers, state } = setUpSupervisor()
  await supervisor.start()
  const foreign = new FakeServer()
  foreign.hello = { type: 'hello', version: '1', protocol: protocolVersion + 1 }
  const mute = new FakeServer()
  mute.hello = null
  queueMicrotask(() => mute.dies('SIGABRT'))
  servers.push(foreign, mute)
  servers[0]!.dies('SIGABRT')
  await until(() => servers[3]?.given !== undefined, patienceMs, 'one that we understand')
  t.same(foreign.heard, ['stop'])
  t.same(mute.heard, ['stop'])
  t.equal(servers[3]!.bypass, null, 'neither is a death of ours')
  t.equal(state.givenUp, null)
  await supervisor.stop()
})

t.test('another version that came to the place of ours is asked first whether it could', async t => {
  const { supervisor, servers } = setUpSupervisor()
  await supervisor.start()
  const refusing = new FakeServer()
  refusing.hello = { type: 'hello', version: '2', protocol: protocolVersion }
  refusing.answer = ({ type }) => {
    if (type === 'prepare') refusing.say({ type: 'failed', code: 'cache-layout', message: 'layout 9' })
    if (type === 'stop') refusing.exit(1)
  }
  const able = new FakeServer()
  able.hello = { type: 'hello', version: '2', protocol: protocolVersion }
  servers.push(refusing, able)
  servers[0]!.dies('SIGABRT')
  await until(() => servers[2]?.given !== undefined, patienceMs, 'one that could')
  t.same(refusing.heard, ['prepare', 'stop'], 'it has touched nothing')
  t.same(able.heard.slice(0, 2), ['prepare', 'boot'])
  t.same(servers[0]!.heard.slice(0, 1), ['boot'], 'our own is not asked')
  t.equal(able.bypass, null)
  await supervisor.stop()
})

t.test('a version that is there no more is followed by our own', async t => {
  const { server, servers, keeper, missing } = setUp()
  await keeper.start()
  server.say({ type: 'upgrade-request', id: 1, directory: '/new' })
  await until(() => servers[1]?.given !== undefined, patienceMs, 'the new version')
  missing.add('/new')
  servers[1]!.kill()
  await until(() => servers[2]?.given !== undefined, patienceMs, 'the version of before')
  await keeper.handleSignal('SIGTERM')
  t.equal(await keeper.finished, 0)
})

t.test('a signal while another server is on its way unmounts, and exits 0', async t => {
  const { server, servers, mounter, keeper } = setUp()
  const next = new FakeServer()
  const booting = once(next.events, 'boot')
  next.answer = message => message.type === 'stop' && next.exit(0)
  servers.push(next)
  await keeper.start()
  server.kill()
  await booting
  await keeper.handleSignal('SIGTERM')
  t.equal(await keeper.finished, 0)
  t.notOk(mounter.mounted)
  t.equal(servers.length, 2)
})

t.test('what a server mounted itself goes with it; exit 1', async t => {
  const { server, servers, mounter, keeper } = setUp()
  server.mounter = 'server'
  await keeper.start()
  server.kill()
  t.equal(await keeper.finished, 1)
  t.notOk(mounter.mounted)
  t.equal(servers.length, 1)
})
