/** The supervisor between a mounter and a worker that do as the test says. */
import { once } from 'node:events'
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import type { Settings } from '../../../src/daemon/config/settings.ts'
import { noTakeovers, preparedProtocol } from '../../../src/daemon/ipc/messages.ts'
import { FakeWorker, negotiated, setUpSupervisor as setUp } from '../../fixtures/fake-worker.ts'

t.test('the mount comes last, and the descriptor before the word that it is there', async t => {
  const { worker, mounter, supervisor } = setUp()
  await supervisor.start()
  t.same(worker.heard, ['boot', 'fd 77', 'mounted', 'history'])
  t.same(mounter.calls, ['mount http://origin/ true'])
})

t.test('a worker that mounts by itself is told to, and what it mounted is unmounted here', async t => {
  const { worker, mounter, supervisor } = setUp()
  worker.mounter = 'server'
  await supervisor.start()
  t.same(worker.heard, ['boot', 'mount', 'history'])
  await supervisor.handleSignal('SIGTERM')
  t.same(mounter.calls, ['unmount'])
  t.equal(await supervisor.finished, 0)
  const failing = setUp()
  failing.worker.mounter = 'server'
  const { answer } = failing.worker
  failing.worker.answer = message => {
    if (message.type === 'mount') failing.worker.say({ type: 'failed', code: 'mount-failed', message: 'half mounted' })
    else answer(message)
  }
  await t.rejects(failing.supervisor.start(), { code: 'mount-failed' })
  t.same(failing.mounter.calls, ['force'], 'nothing stays mounted')
})

t.test('a signal unmounts, then stops the worker, then lets go of the descriptor; exit 0', async t => {
  const { worker, mounter, closed, supervisor } = setUp()
  await supervisor.start()
  const mountedAtStop = once(worker.events, 'stop').then(() => ({ mounted: mounter.mounted, closed: [...closed] }))
  await supervisor.handleSignal('SIGTERM')
  t.same(await mountedAtStop, { mounted: false, closed: [] })
  t.equal(await supervisor.finished, 0)
  t.same(closed, [77])
})

t.test('a worker that dies of a signal before the mount is up is told of with what to do', async t => {
  const { worker, mounter, supervisor } = setUp()
  worker.answer = message => {
    if (message.type === 'boot') worker.kill()
  }
  await t.rejects(supervisor.start(), {
    code: 'mount-failed',
    message: /SIGKILL before the mount was up/,
  })
  t.same(mounter.calls, [])
})

t.test('a busy mount stays at the first signal and goes at the second', async t => {
  const { worker, mounter, supervisor } = setUp()
  await supervisor.start()
  mounter.busy = true
  await supervisor.handleSignal('SIGTERM')
  t.ok(mounter.mounted)
  t.notOk(worker.heard.includes('stop'))
  await supervisor.handleSignal('SIGTERM')
  t.notOk(mounter.mounted)
  t.same(mounter.calls.slice(1), ['unmount', 'unmount', 'force'])
  t.equal(await supervisor.finished, 0)
})

t.test('who asks by force while an attempt looks for users is not refused because of it', async t => {
  const { worker, mounter, supervisor } = setUp()
  await supervisor.start()
  mounter.busy = true
  const first = supervisor.handleSignal('SIGTERM')
  const forced = once(worker.events, 'unmount-answer')
  worker.say({ type: 'unmount', id: 7, force: true })
  await first
  t.match((await forced)[0], { id: 7, refusal: null })
  t.equal(await supervisor.finished, 0)
  const signalled = setUp()
  await signalled.supervisor.start()
  signalled.mounter.busy = true
  await Promise.all(['SIGTERM', 'SIGTERM'].map(name => signalled.supervisor.handleSignal(name)))
  t.notOk(signalled.mounter.mounted)
  t.equal(await signalled.supervisor.finished, 0)
})

t.test('an unmount that the worker asks for is answered before the stop', async t => {
  const { worker, mounter, supervisor } = setUp()
  await supervisor.start()
  mounter.busy = true
  const refused = once(worker.events, 'unmount-answer')
  worker.say({ type: 'unmount', id: 7, force: false })
  const [refusal] = await refused
  t.match(refusal, { id: 7, refusal: { code: 'mount-busy', holders: [] } })
  t.ok(mounter.mounted)
  worker.say({ type: 'unmount', id: 8, force: true })
  t.equal(await supervisor.finished, 0)
  t.same(worker.heard.slice(-2), ['unmount-answer', 'stop'])
})

t.test('two who ask at once are both told that it is unmounted', async t => {
  const { worker, mounter, supervisor } = setUp()
  await supervisor.start()
  const answers: unknown[] = []
  worker.events.on('unmount-answer', answer => answers.push(answer))
  for (const id of [7, 8]) worker.say({ type: 'unmount', id, force: false })
  t.equal(await supervisor.finished, 0)
  t.match(answers, [
    { id: 7, refusal: null },
    { id: 8, refusal: null },
  ])
  t.same(mounter.calls.slice(1), ['unmount'])
  t.equal(worker.heard.filter(type => type === 'stop').length, 1)
})

t.test('an unmount from outside is a clean stop; a failing device is not', async t => {
  for (const [reason, code] of [
    [null, 0],
    ['reading failed', 1],
  ] as const) {
    const { worker, mounter, supervisor } = setUp()
    await supervisor.start()
    worker.say({ type: 'ended', reason })
    t.equal(await supervisor.finished, code)
    t.notOk(mounter.mounted)
  }
})

t.test('our own unmount is not taken for one from outside', async t => {
  const { worker, mounter, supervisor } = setUp()
  await supervisor.start()
  worker.answer = message => {
    if (message.type !== 'stop') return
    worker.say({ type: 'ended', reason: 'reading failed' })
    worker.exit(0)
  }
  await supervisor.handleSignal('SIGINT')
  t.equal(await supervisor.finished, 0)
  t.same(mounter.calls.slice(1), ['unmount'])
})

t.test('what the worker cannot start with is thrown, and nothing stays', async t => {
  const { worker, mounter, supervisor } = setUp()
  worker.answer = message => {
    if (message.type === 'boot') worker.say({ type: 'failed', code: 'cache-locked', message: 'somebody has it' })
    if (message.type === 'stop') worker.exit(1)
  }
  await t.rejects(supervisor.start(), { code: 'cache-locked', message: 'somebody has it' })
  t.same(mounter.calls, [])
})

t.test('a worker that dies between the mount and its first answer leaves no mount', async t => {
  const { worker, mounter, closed, supervisor } = setUp()
  worker.answer = message => {
    if (message.type === 'boot')
      worker.say({
        type: 'booted',
        source: 'x',
        allowOther: false,
        mounter: 'keeper',
        restarts: { deathsMax: 2, wellMs: 60_000 },
        addons: [],
      })
    if (message.type === 'mounted') worker.kill()
  }
  await t.rejects(supervisor.start(), { code: 'mount-failed' })
  t.notOk(mounter.mounted)
  t.same(closed, [77])
})

t.test('a mount that fails stops the worker', async t => {
  const { worker, mounter, supervisor } = setUp()
  mounter.mount = async () => {
    throw new CacheError('mount-failed', 'no')
  }
  await t.rejects(supervisor.start(), { code: 'mount-failed' })
  t.equal(worker.heard.at(-1), 'stop')
})

t.test('a signal while starting gives up', async t => {
  const { worker, mounter, supervisor } = setUp()
  worker.answer = message => {
    if (message.type === 'boot') void supervisor.handleSignal('SIGINT')
    if (message.type === 'stop') worker.exit(0)
  }
  await t.rejects(supervisor.start(), { code: 'aborted' })
  t.same(mounter.calls, [])
})

t.test('what the service manager holds is said to the worker, and dropped with the mount', async t => {
  const { worker, supervisor, held, dropped } = setUp(null, { holds: true })
  const told = once(worker.events, 'history')
  await supervisor.start()
  t.match((await told)[0], { kept: true, takeovers: { count: 0 } })
  t.match(held, [{ device: '0:0', negotiated, directory: null }])
  worker.say({ type: 'capacity', capacityBytes: 5 })
  t.match(held[1], { settings: { document: { cache: { capacity: 5 } } } })
  await supervisor.handleSignal('SIGTERM')
  await supervisor.finished
  t.same(dropped, [2])
  const without = setUp()
  const toldOther = once(without.worker.events, 'history')
  await without.supervisor.start()
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

t.test('a supervisor goes on with the mount of one that has died', async t => {
  const { worker, mounter, supervisor, held } = setUp(null, { holds: true, kept })
  await supervisor.start()
  t.same(worker.heard.slice(0, 4), ['boot', 'fd 77', 'mounted', 'history'])
  t.same(worker.given, negotiated)
  t.equal(worker.kept, true, 'before it serves')
  t.same(mounter.calls, [], 'nothing is mounted')
  t.match(held, [{ takeovers: { count: 5, longestPauseMs: 1e9 } }])
  await supervisor.handleSignal('SIGTERM')
  t.equal(await supervisor.finished, 0)
  t.notOk(mounter.mounted)
})

t.test('where no worker can go on with it, the mount goes', async t => {
  const { workers, mounter, closed, dropped, supervisor } = setUp(null, { holds: true, kept })
  for (let k = 0; k < 12; k++) {
    const failing = (workers[k] ??= new FakeWorker())
    failing.answer = message => message.type === 'boot' && failing.dies('SIGABRT')
  }
  await t.rejects(supervisor.start(), { code: 'mount-failed', message: /workers have died in a row/ })
  t.notOk(mounter.mounted)
  t.same([closed, dropped], [[77], [0]])
})

t.test('a signal before a worker goes on with it unmounts, and exits 0', async t => {
  const { worker, mounter, supervisor } = setUp(null, { holds: true, kept })
  worker.answer = message => {
    if (message.type === 'stop') worker.exit(0)
  }
  const booting = once(worker.events, 'boot')
  const starting = supervisor.start()
  await booting
  await supervisor.handleSignal('SIGTERM')
  await starting
  t.equal(await supervisor.finished, 0)
  t.notOk(mounter.mounted)
})

t.test('SIGHUP reads the configuration again, and so does who asks; without a file SIGHUP ends', async t => {
  const { worker, mounter, supervisor, read, logger } = setUp('good')
  await supervisor.handleSignal('SIGHUP')
  t.same(read, [], 'not while it starts')
  await supervisor.start()
  const heard = once(worker.events, 'reload')
  await supervisor.handleSignal('SIGHUP')
  t.match((await heard)[0], { type: 'reload', id: null, document: { log: { level: 'debug' } } })
  const asked = once(worker.events, 'reload')
  worker.say({ type: 'reload-request', id: 7 })
  t.match((await asked)[0], { type: 'reload', id: 7 })
  worker.say({ type: 'log-level', level: 'debug' })
  t.equal(logger.level, 'debug')
  t.ok(mounter.mounted)
  const without = setUp()
  await without.supervisor.start()
  const refused = once(without.worker.events, 'reload-failed')
  without.worker.say({ type: 'reload-request', id: 8 })
  t.match((await refused)[0], { id: 8, code: 'invalid-argument', message: /without a configuration file/ })
  await without.supervisor.handleSignal('SIGHUP')
  t.equal(await without.supervisor.finished, 0)
})

t.test('SIGHUP while no worker serves reaches the next one, once', async t => {
  const { worker, workers, supervisor, read } = setUp('good')
  await supervisor.start()
  const next = (workers[1] = new FakeWorker())
  const reloaded = once(next.events, 'reload')
  worker.dies('SIGKILL')
  await worker.exited
  await supervisor.handleSignal('SIGHUP')
  await supervisor.handleSignal('SIGHUP')
  t.same(read, [], 'not for one that has died')
  t.match((await reloaded)[0], { type: 'reload', id: null, document: { log: { level: 'debug' } } })
  t.same(read, ['good'])
})

t.test('settings that change while the cache moves hold for the worker that takes over', async t => {
  const { worker, workers, supervisor } = setUp()
  await supervisor.start()
  const next = (workers[1] = new FakeWorker())
  const { answer } = next
  next.answer = message => message.type !== 'prepare' && answer(message)
  const asked = once(next.events, 'prepare')
  const booted = once(next.events, 'boot')
  worker.say({ type: 'move-request', id: 1, from: '/a', directory: '/b', passed: [] })
  await asked
  worker.say({ type: 'capacity', capacityBytes: 5 })
  worker.answer = message => {
    if (message.type !== 'stop') return
    worker.say({ type: 'origin-leaving', directory: 'x' })
    worker.say({ type: 'ended', reason: null })
    worker.exit(0)
  }
  next.say({ type: 'prepared', version: '2', protocol: preparedProtocol })
  const [{ settings }] = (await booted) as [{ readonly settings: Settings }]
  t.same(settings.document, { cache: { capacity: 5, directory: '/b' } })
  t.same(settings.leaving, ['x'], 'said by the one that leaves')
  t.match(settings.move, { from: '/a', to: '/b', isNew: true })
  t.ok(next.heard.includes('mounted') || (await once(next.events, 'mounted')), 'its end of the session says nothing')
  await supervisor.handleSignal('SIGTERM')
  t.equal(await supervisor.finished, 0)
})

t.test('a file that is not usable reaches nobody but who asked', async t => {
  const { worker, mounter, supervisor } = setUp('bad')
  await supervisor.start()
  await supervisor.handleSignal('SIGHUP')
  const refused = once(worker.events, 'reload-failed')
  worker.say({ type: 'reload-request', id: 9 })
  t.match((await refused)[0], { id: 9, message: 'bad:1:1: not usable' })
  t.notOk(worker.heard.includes('reload'))
  t.ok(mounter.mounted)
})
