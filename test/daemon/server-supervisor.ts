/** Servers one after the other, as a keeper has them. */
import { once } from 'node:events'
import t from 'tap'
import { FakeServer, negotiated, setUpKeeper as setUp } from '../fixtures/fake-server.ts'
import { until } from '../fixtures/until.ts'

t.test('a server that dies is followed by another on the same descriptor, told what was agreed', async t => {
  const { server, servers, mounter, closed, keeper } = setUp()
  await keeper.start()
  mounter.busy = true
  server.kill()
  await until(() => servers[1]?.given !== undefined, 5000, 'the next server')
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
  await until(() => servers[1]?.given !== undefined, 5000, 'the next server')
  t.equal(servers[1]!.given, null, 'a descriptor with an INIT of its own')
  t.same(mounter.calls, ['mount http://origin/ true', 'force', 'mount http://origin/ true'])
  t.same(closed, [77], 'readers of the old one get an error')
  await keeper.handleSignal('SIGTERM')
  t.equal(await keeper.finished, 0)
})

t.test('where servers die one after the other the cache is passed by, and then the mount goes; exit 1', async t => {
  const { server, servers, mounter, closed, keeper, told } = setUp()
  await keeper.start()
  server.kill()
  await until(() => servers[1]?.given !== undefined, 5000, 'the next server')
  servers[1]!.kill()
  await until(() => servers[2]?.given !== undefined, 5000, 'the third server')
  t.same(
    servers.map(({ bypass }) => bypass),
    [null, null, '2 servers have died in a row (signal SIGKILL)'],
  )
  const failing = new FakeServer()
  failing.answer = message => message.type === 'boot' && failing.kill()
  servers.push(failing)
  servers[2]!.kill()
  t.equal(await keeper.finished, 1)
  t.equal(servers.length, 4)
  t.notOk(mounter.mounted)
  t.same(closed, [77])
  t.match(told.at(-1), /^stopping: 2 servers have died in a row/)
})

t.test('a version that is there no more is followed by our own', async t => {
  const { server, servers, keeper, missing } = setUp()
  await keeper.start()
  server.say({ type: 'upgrade-request', id: 1, directory: '/new' })
  await until(() => servers[1]?.given !== undefined, 5000, 'the new version')
  missing.add('/new')
  servers[1]!.kill()
  await until(() => servers[2]?.given !== undefined, 5000, 'the version of before')
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
