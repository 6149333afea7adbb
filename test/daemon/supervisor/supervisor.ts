/** The keeper between a mounter and a server that do as the test says. */
import { once } from 'node:events'
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import type { Settings } from '../../../src/daemon/config/settings.ts'
import { noTakeovers } from '../../../src/daemon/ipc/messages.ts'
import { FakeServer, negotiated, setUpKeeper as setUp } from '../../fixtures/fake-server.ts'

t.test('the mount comes last, and the descriptor before the word that it is there', async t => {
  const { server, mounter, keeper } = setUp()
  await keeper.start()
  t.same(server.heard, ['boot', 'fd 77', 'mounted', 'history'])
  t.same(mounter.calls, ['mount http://origin/ true'])
})

t.test('a server that mounts by itself is told to, and what it mounted is unmounted here', async t => {
  const { server, mounter, keeper } = setUp()
  server.mounter = 'server'
  await keeper.start()
  t.same(server.heard, ['boot', 'mount', 'history'])
  await keeper.handleSignal('SIGTERM')
  t.same(mounter.calls, ['unmount'])
  t.equal(await keeper.finished, 0)
  const failing = setUp()
  failing.server.mounter = 'server'
  const { answer } = failing.server
  failing.server.answer = message => {
    if (message.type === 'mount') failing.server.say({ type: 'failed', code: 'mount-failed', message: 'half mounted' })
    else answer(message)
  }
  await t.rejects(failing.keeper.start(), { code: 'mount-failed' })
  t.same(failing.mounter.calls, ['force'], 'nothing stays mounted')
})

t.test('a signal unmounts, then stops the server, then lets go of the descriptor; exit 0', async t => {
  const { server, mounter, closed, keeper } = setUp()
  await keeper.start()
  const mountedAtStop = once(server.events, 'stop').then(() => ({ mounted: mounter.mounted, closed: [...closed] }))
  await keeper.handleSignal('SIGTERM')
  t.same(await mountedAtStop, { mounted: false, closed: [] })
  t.equal(await keeper.finished, 0)
  t.same(closed, [77])
})

t.test('a server that dies of a signal before the mount is up is told of with what to do', async t => {
  const { server, mounter, keeper } = setUp()
  server.answer = message => {
    if (message.type === 'boot') server.kill()
  }
  await t.rejects(keeper.start(), {
    code: 'mount-failed',
    message: /SIGKILL .* damaged: remove "index" in .* to start/,
  })
  t.same(mounter.calls, [])
})

t.test('a busy mount stays at the first signal and goes at the second', async t => {
  const { server, mounter, keeper } = setUp()
  await keeper.start()
  mounter.busy = true
  await keeper.handleSignal('SIGTERM')
  t.ok(mounter.mounted)
  t.notOk(server.heard.includes('stop'))
  await keeper.handleSignal('SIGTERM')
  t.notOk(mounter.mounted)
  t.same(mounter.calls.slice(1), ['unmount', 'unmount', 'force'])
  t.equal(await keeper.finished, 0)
})

t.test('an unmount that the server asks for is answered before the stop', async t => {
  const { server, mounter, keeper } = setUp()
  await keeper.start()
  mounter.busy = true
  const refused = once(server.events, 'unmount-answer')
  server.say({ type: 'unmount', id: 7, force: false })
  const [refusal] = await refused
  t.match(refusal, { id: 7, refusal: { code: 'mount-busy', holders: [] } })
  t.ok(mounter.mounted)
  server.say({ type: 'unmount', id: 8, force: true })
  t.equal(await keeper.finished, 0)
  t.same(server.heard.slice(-2), ['unmount-answer', 'stop'])
})

t.test('an unmount from outside is a clean stop; a failing device is not', async t => {
  for (const [reason, code] of [
    [null, 0],
    ['reading failed', 1],
  ] as const) {
    const { server, mounter, keeper } = setUp()
    await keeper.start()
    server.say({ type: 'ended', reason })
    t.equal(await keeper.finished, code)
    t.notOk(mounter.mounted)
  }
})

t.test('our own unmount is not taken for one from outside', async t => {
  const { server, mounter, keeper } = setUp()
  await keeper.start()
  server.answer = message => {
    if (message.type !== 'stop') return
    server.say({ type: 'ended', reason: 'reading failed' })
    server.exit(0)
  }
  await keeper.handleSignal('SIGINT')
  t.equal(await keeper.finished, 0)
  t.same(mounter.calls.slice(1), ['unmount'])
})

t.test('what the server cannot start with is thrown, and nothing stays', async t => {
  const { server, mounter, keeper } = setUp()
  server.answer = message => {
    if (message.type === 'boot') server.say({ type: 'failed', code: 'cache-locked', message: 'somebody has it' })
    if (message.type === 'stop') server.exit(1)
  }
  await t.rejects(keeper.start(), { code: 'cache-locked', message: 'somebody has it' })
  t.same(mounter.calls, [])
})

t.test('a server that dies between the mount and its first answer leaves no mount', async t => {
  const { server, mounter, closed, keeper } = setUp()
  server.answer = message => {
    if (message.type === 'boot')
      server.say({
        type: 'booted',
        source: 'x',
        allowOther: false,
        mounter: 'keeper',
        restarts: { deathsMax: 2, wellMs: 60_000 },
        addons: [],
      })
    if (message.type === 'mounted') server.kill()
  }
  await t.rejects(keeper.start(), { code: 'mount-failed' })
  t.notOk(mounter.mounted)
  t.same(closed, [77])
})

t.test('a mount that fails stops the server', async t => {
  const { server, mounter, keeper } = setUp()
  mounter.mount = async () => {
    throw new CacheError('mount-failed', 'no')
  }
  await t.rejects(keeper.start(), { code: 'mount-failed' })
  t.equal(server.heard.at(-1), 'stop')
})

t.test('a signal while starting gives up', async t => {
  const { server, mounter, keeper } = setUp()
  server.answer = message => {
    if (message.type === 'boot') void keeper.handleSignal('SIGINT')
    if (message.type === 'stop') server.exit(0)
  }
  await t.rejects(keeper.start(), { code: 'aborted' })
  t.same(mounter.calls, [])
})

t.test('what the service manager holds is said to the server, and dropped with the mount', async t => {
  const { server, keeper, held, dropped } = setUp(null, { holds: true })
  const told = once(server.events, 'history')
  await keeper.start()
  t.match((await told)[0], { kept: true, takeovers: { count: 0 } })
  t.match(held, [{ device: '0:99', negotiated, directory: null }])
  server.say({ type: 'capacity', capacityBytes: 5 })
  t.match(held[1], { settings: { document: { cache: { capacity: 5 } } } })
  await keeper.handleSignal('SIGTERM')
  await keeper.finished
  t.same(dropped, [2])
  const without = setUp()
  const toldOther = once(without.server.events, 'history')
  await without.keeper.start()
  t.match((await toldOther)[0], { kept: false })
})

const kept = {
  fd: 77,
  state: {
    settings: {} as Settings,
    negotiated,
    device: '0:42',
    directory: null,
    takeovers: { ...noTakeovers, count: 4, longestPauseMs: 1e9 },
  },
}

t.test('a keeper goes on with the mount of one that has died', async t => {
  const { server, mounter, keeper, held } = setUp(null, { holds: true, kept })
  await keeper.start()
  t.same(server.heard.slice(0, 4), ['boot', 'fd 77', 'mounted', 'history'])
  t.same(server.given, negotiated)
  t.equal(server.kept, true, 'before it serves')
  t.same(mounter.calls, [], 'nothing is mounted')
  t.match(held, [{ takeovers: { count: 5, longestPauseMs: 1e9 } }])
  await keeper.handleSignal('SIGTERM')
  t.equal(await keeper.finished, 0)
  t.notOk(mounter.mounted)
})

t.test('where no server can go on with it, the mount goes', async t => {
  const { servers, mounter, closed, dropped, keeper } = setUp(null, { holds: true, kept })
  for (let k = 0; k < 12; k++) {
    const failing = (servers[k] ??= new FakeServer())
    failing.answer = message => message.type === 'boot' && failing.dies('SIGABRT')
  }
  await t.rejects(keeper.start(), { code: 'mount-failed', message: /servers have died in a row/ })
  t.notOk(mounter.mounted)
  t.same([closed, dropped], [[77], [0]])
})

t.test('a signal before a server goes on with it unmounts, and exits 0', async t => {
  const { server, mounter, keeper } = setUp(null, { holds: true, kept })
  server.answer = message => {
    if (message.type === 'stop') server.exit(0)
  }
  const booting = once(server.events, 'boot')
  const starting = keeper.start()
  await booting
  await keeper.handleSignal('SIGTERM')
  await starting
  t.equal(await keeper.finished, 0)
  t.notOk(mounter.mounted)
})

t.test('SIGHUP reads the configuration again, and so does who asks; without a file SIGHUP ends', async t => {
  const { server, mounter, keeper, read, logger } = setUp('good')
  await keeper.handleSignal('SIGHUP')
  t.same(read, [], 'not while it starts')
  await keeper.start()
  const heard = once(server.events, 'reload')
  await keeper.handleSignal('SIGHUP')
  t.match((await heard)[0], { type: 'reload', id: null, document: { log: { level: 'debug' } } })
  const asked = once(server.events, 'reload')
  server.say({ type: 'reload-request', id: 7 })
  t.match((await asked)[0], { type: 'reload', id: 7 })
  server.say({ type: 'log-level', level: 'debug' })
  t.equal(logger.level, 'debug')
  t.ok(mounter.mounted)
  const without = setUp()
  await without.keeper.start()
  const refused = once(without.server.events, 'reload-failed')
  without.server.say({ type: 'reload-request', id: 8 })
  t.match((await refused)[0], { id: 8, code: 'invalid-argument', message: /without a configuration file/ })
  await without.keeper.handleSignal('SIGHUP')
  t.equal(await without.keeper.finished, 0)
})

t.test('a file that is not usable reaches nobody but who asked', async t => {
  const { server, mounter, keeper } = setUp('bad')
  await keeper.start()
  await keeper.handleSignal('SIGHUP')
  const refused = once(server.events, 'reload-failed')
  server.say({ type: 'reload-request', id: 9 })
  t.match((await refused)[0], { id: 9, message: 'bad:1:1: not usable' })
  t.notOk(server.heard.includes('reload'))
  t.ok(mounter.mounted)
})
