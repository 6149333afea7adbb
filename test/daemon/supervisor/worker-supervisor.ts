/** Workers one after the other, as a supervisor has them. */
import { once } from 'node:events'
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import type { Settings } from '../../../src/daemon/config/settings.ts'
import { protocolVersion } from '../../../src/daemon/ipc/messages.ts'
import { restartPauseMsMax, workerHangMsMax } from '../../../src/daemon/supervisor/limits.ts'
import { FakeWorker, negotiated, setUpSupervisor as setUp, setUpWorkerSupervisor } from '../../fixtures/fake-worker.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

t.test('a worker that dies is followed by another on the same descriptor, told what was agreed', async t => {
  const { worker, workers, mounter, closed, supervisor } = setUp()
  await supervisor.start()
  mounter.busy = true
  worker.kill()
  await until(() => workers[1]?.given !== undefined, patienceMs, 'the next worker')
  t.same(workers[1]!.heard.slice(0, 3), ['boot', 'fd 77', 'mounted'])
  t.same(workers[1]!.given, negotiated)
  t.same(mounter.calls, ['mount http://origin/ true'])
  mounter.busy = false
  await supervisor.handleSignal('SIGTERM')
  t.equal(await supervisor.finished, 0)
  t.same(closed, [77])
  t.equal(workers.length, 2)
})

t.test('where requests are not repeated, the mount goes with its worker, and another one is made', async t => {
  const { worker, workers, mounter, closed, supervisor } = setUp()
  worker.agrees = { ...negotiated, flags2: 0 }
  await supervisor.start()
  worker.kill()
  await until(() => workers[1]?.given !== undefined, patienceMs, 'the next worker')
  t.equal(workers[1]!.given, null, 'a descriptor with an INIT of its own')
  t.same(mounter.calls, ['mount http://origin/ true', 'force', 'mount http://origin/ true'])
  t.same(closed, [77], 'readers of the old one get an error')
  await supervisor.handleSignal('SIGTERM')
  t.equal(await supervisor.finished, 0)
})

t.test('where workers die of themselves the cache is passed by, and then an idle mount goes; exit 1', async t => {
  const { worker, workers, mounter, closed, supervisor, told } = setUp()
  await supervisor.start()
  worker.dies('SIGABRT')
  await until(() => workers[1]?.given !== undefined, patienceMs, 'the next worker')
  workers[1]!.dies('SIGABRT')
  await until(() => workers[2]?.given !== undefined, patienceMs, 'the third worker')
  t.same(
    workers.map(({ bypass }) => bypass),
    [null, null, '2 workers have died in a row (signal SIGABRT)'],
  )
  const failing = new FakeWorker()
  failing.answer = message => message.type === 'boot' && failing.dies('SIGABRT')
  workers.push(failing)
  workers[2]!.dies('SIGABRT')
  t.equal(await supervisor.finished, 1)
  t.equal(workers.length, 4)
  t.notOk(mounter.mounted)
  t.same(closed, [77])
  t.match(told.at(-1), /^stopping: 2 workers have died in a row/)
})

t.test('as long as anybody has the mount open, workers are started on and on; it is said once', async t => {
  const { supervisor, workers, doubts, pauses, state } = setUpWorkerSupervisor()
  state.isOpen = true
  await supervisor.start()
  state.starts = 'fail'
  workers[0]!.dies('SIGKILL')
  await until(() => doubts.length >= 20, patienceMs, 'many failed starts')
  t.equal(doubts[0], 'no worker for 60 s (spawn ENOMEM)')
  t.same(new Set(doubts.slice(1)), new Set([null]), 'said once')
  t.equal(pauses[0], 0)
  t.same(new Set(pauses.slice(-19)), new Set([restartPauseMsMax]))
  t.notOk(state.givenUp)
  state.starts = 'work'
  await until(() => workers[1]?.given !== undefined, patienceMs, 'a worker')
  t.equal(workers[1]!.bypass, null, 'the cache is not to blame')
  state.starts = 'fail'
  workers[1]!.dies('SIGKILL')
  await until(() => doubts.length >= 40, patienceMs, 'more of them')
  state.isOpen = false
  await until(() => state.givenUp !== null, patienceMs, 'the end, once nobody has it open')
  await supervisor.stop()
})

t.test('the mount of a supervisor whose workers do not start stays while it is in use, and says why', async t => {
  const { worker, mounter, supervisor, troubles, told, workers } = setUp()
  await supervisor.start()
  mounter.busy = true
  for (const k of [1, 3]) {
    const failing = new FakeWorker()
    failing.answer = message => message.type === 'boot' && failing.dies('SIGABRT')
    workers[k] = failing
  }
  // Two deaths, the bypass, two more: then the longest pause.
  workers[2] = new FakeWorker()
  worker.dies('SIGABRT')
  await until(() => workers[2]?.given !== undefined, patienceMs, 'the one that passes the cache by')
  workers[2]!.dies('SIGABRT')
  await until(() => troubles.at(-1) !== null && troubles.length > 0, patienceMs, 'the trouble')
  t.match(troubles.at(-1), /^2 workers have died in a row/)
  t.match(told.at(-1), /another worker is tried every 5 s, and readers wait/)
  t.ok(mounter.mounted)
  mounter.busy = false
  await supervisor.handleSignal('SIGTERM')
  t.equal(await supervisor.finished, 0, 'an unmount in the pause ends it at once')
})

t.test(
  'a worker that is killed from outside says nothing of the cache; one that hangs and is killed by us does',
  async t => {
    const { supervisor, workers, state } = setUpWorkerSupervisor()
    await supervisor.start()
    for (let k = 0; k < 12; k++) {
      workers[k]!.dies('SIGKILL')
      await until(() => workers[k + 1]?.given !== undefined, patienceMs, 'the next worker')
    }
    t.same(new Set(workers.map(({ bypass }) => bypass)), new Set([null]))
    for (let k = 12; k < 14; k++) {
      // It answers no question: the pulse asks, waits, and kills.
      const hanging = workers[k]!
      hanging.answer = () => {}
      await until(() => hanging.heard.includes('ping'), patienceMs, 'a question')
      state.nowMs += workerHangMsMax + 1
      await until(() => workers[k + 1]?.given !== undefined, patienceMs, 'the worker after one that hung')
      t.ok(hanging.heard.includes('kill'))
    }
    t.match(workers[14]!.bypass, /^2 workers have died in a row/)
    await supervisor.stop()
  },
)

t.test('one that does not say who it is, or speaks another language, is told nothing, and another follows', async t => {
  const { supervisor, workers, state } = setUpWorkerSupervisor()
  await supervisor.start()
  const foreign = new FakeWorker()
  foreign.hello = { type: 'hello', version: '1', protocol: protocolVersion + 1 }
  const mute = new FakeWorker()
  mute.hello = null
  queueMicrotask(() => mute.dies('SIGABRT'))
  workers.push(foreign, mute)
  workers[0]!.dies('SIGABRT')
  await until(() => workers[3]?.given !== undefined, patienceMs, 'one that we understand')
  t.same(foreign.heard, ['stop'])
  t.same(mute.heard, ['stop'])
  t.equal(workers[3]!.bypass, null, 'neither is a death of ours')
  t.equal(state.givenUp, null)
  await supervisor.stop()
})

t.test('another version that came to the place of ours is asked first whether it could', async t => {
  const { supervisor, workers } = setUpWorkerSupervisor()
  await supervisor.start()
  const refusing = new FakeWorker()
  refusing.hello = { type: 'hello', version: '2', protocol: protocolVersion }
  refusing.answer = ({ type }) => {
    if (type === 'prepare') refusing.say({ type: 'failed', code: 'cache-layout', message: 'layout 9' })
    if (type === 'stop') refusing.exit(1)
  }
  const able = new FakeWorker()
  able.hello = { type: 'hello', version: '2', protocol: protocolVersion }
  workers.push(refusing, able)
  workers[0]!.dies('SIGABRT')
  await until(() => workers[2]?.given !== undefined, patienceMs, 'one that could')
  t.same(refusing.heard, ['prepare', 'stop'], 'it has touched nothing')
  t.same(able.heard.slice(0, 2), ['prepare', 'boot'])
  t.same(workers[0]!.heard.slice(0, 1), ['boot'], 'our own is not asked')
  t.equal(able.bypass, null)
  await supervisor.stop()
})

t.test('a worker of the first version says no hello, and is not led; one that does says what it speaks', async t => {
  const { worker, workers, supervisor } = setUp()
  await supervisor.start()
  const first = new FakeWorker()
  first.hello = null
  const later = new FakeWorker()
  later.hello = { type: 'hello', version: '9', protocol: protocolVersion + 1 }
  workers.push(first, later)
  for (const each of [first, later]) {
    worker.say({ type: 'upgrade-request', id: 1, directory: '/other' })
    await until(() => each.heard.includes('stop'), patienceMs, 'its end')
    t.same(each.heard, ['prepare', 'stop'])
  }
  t.notOk(worker.heard.includes('stop'), 'ours goes on')
  await supervisor.handleSignal('SIGTERM')
  t.equal(await supervisor.finished, 0)
})

t.test('a version that is there no more is followed by our own', async t => {
  const { worker, workers, supervisor, missing } = setUp()
  await supervisor.start()
  worker.say({ type: 'upgrade-request', id: 1, directory: '/new' })
  await until(() => workers[1]?.given !== undefined, patienceMs, 'the new version')
  missing.add('/new')
  workers[1]!.kill()
  await until(() => workers[2]?.given !== undefined, patienceMs, 'the version of before')
  await supervisor.handleSignal('SIGTERM')
  t.equal(await supervisor.finished, 0)
})

t.test('a signal while another worker is on its way unmounts, and exits 0', async t => {
  const { worker, workers, mounter, supervisor } = setUp()
  const next = new FakeWorker()
  const booting = once(next.events, 'boot')
  next.answer = message => message.type === 'stop' && next.exit(0)
  workers.push(next)
  await supervisor.start()
  worker.kill()
  await booting
  await supervisor.handleSignal('SIGTERM')
  t.equal(await supervisor.finished, 0)
  t.notOk(mounter.mounted)
  t.equal(workers.length, 2)
})

t.test('what a worker mounted itself goes with it; exit 1', async t => {
  const { worker, workers, mounter, supervisor } = setUp()
  worker.mounter = 'server'
  await supervisor.start()
  worker.kill()
  t.equal(await supervisor.finished, 1)
  t.notOk(mounter.mounted)
  t.equal(workers.length, 1)
})

t.test(
  'after a worker that died of itself the index is copied, by the first one that boots; after a kill it is not',
  async t => {
    const { supervisor, workers } = setUpWorkerSupervisor()
    await supervisor.start()
    workers[0]!.dies('SIGKILL')
    await until(() => workers[1]?.given !== undefined, patienceMs, 'the next worker')
    const failing = new FakeWorker()
    failing.answer = message => message.type === 'boot' && failing.dies('SIGKILL')
    workers.push(failing)
    workers[1]!.dies('SIGSEGV')
    await until(() => workers[3]?.given !== undefined, patienceMs, 'the one after a boot that was killed')
    workers[3]!.dies('SIGKILL')
    await until(() => workers[4]?.given !== undefined, patienceMs, 'another one')
    const signal = 'a worker ended with signal SIGSEGV'
    t.same(
      workers.map(({ indexDoubt }) => indexDoubt),
      [null, null, null, signal, null],
    )
    await supervisor.stop()
  },
)

t.test('a first worker that dies of the index, or cannot read it, is followed by one more', async t => {
  for (const how of ['SIGSEGV', 'index-failed'] as const) {
    const { supervisor, workers } = setUpWorkerSupervisor()
    workers[0]!.answer = ({ type }) => {
      if (type === 'stop') workers[0]!.exit(1)
      if (type !== 'boot') return
      if (how === 'SIGSEGV') workers[0]!.dies(how)
      else workers[0]!.say({ type: 'failed', code: how, message: 'the index cannot be read' })
    }
    await supervisor.start()
    t.same(workers.length, 2, how)
    t.equal(workers[1]!.indexDoubt, how === 'SIGSEGV' ? 'a worker ended with signal SIGSEGV' : null)
    await supervisor.stop()
  }
})

t.test('a first start that fails twice, or is cancelled, or fails of something else, fails', async t => {
  const failing = (answer: (worker: FakeWorker) => void) => {
    const worker = new FakeWorker()
    worker.answer = ({ type }) => {
      if (type === 'boot') answer(worker)
      if (type === 'stop') worker.exit(1)
    }
    return worker
  }
  const twice = setUpWorkerSupervisor()
  twice.workers.splice(0, 1, ...[1, 2].map(() => failing(worker => worker.dies('SIGSEGV'))))
  await t.rejects(twice.supervisor.start(), { code: 'mount-failed', message: /SIGSEGV before the mount was up/ })
  t.equal(twice.workers.length, 2)
  const cancelled = setUpWorkerSupervisor()
  cancelled.workers.splice(
    0,
    1,
    failing(worker => {
      worker.dies('SIGSEGV')
      cancelled.supervisor.giveUp(new CacheError('aborted', 'no longer wanted'))
    }),
  )
  await t.rejects(cancelled.supervisor.start(), { code: 'aborted' })
  t.equal(cancelled.workers.length, 1)
  const locked = setUpWorkerSupervisor()
  locked.workers.splice(
    0,
    1,
    failing(worker => worker.say({ type: 'failed', code: 'cache-locked', message: 'in use' })),
  )
  await t.rejects(locked.supervisor.start(), { code: 'cache-locked' })
  t.equal(locked.workers.length, 1)
  for (const { supervisor } of [twice, cancelled, locked]) await supervisor.stop()
})

t.test('a worker is told whether guests wait for it: not of a new mount, nor before it takes over', async t => {
  const { supervisor, workers } = setUpWorkerSupervisor()
  await supervisor.start()
  t.same(workers[0]!.awaited, [false])
  const { takeOver } = await supervisor.prepare(null)
  t.same(workers[1]!.awaited, [false])
  await takeOver()
  t.same(workers[1]!.awaited, [false, true])
  const another = new FakeWorker()
  another.hello = { type: 'hello', version: '2', protocol: protocolVersion }
  workers.push(another)
  workers[1]!.dies('SIGABRT')
  await until(() => another.given !== undefined, patienceMs, 'the next worker')
  t.same(another.awaited, [true, true], 'it is asked whether it could, and guests wait meanwhile')
  await supervisor.stop()
})

t.test('an upgrade that is wanted while a worker comes up waits for it', async t => {
  const { supervisor, workers, state } = setUpWorkerSupervisor()
  await supervisor.start()
  const [failing, slow] = [new FakeWorker(), new FakeWorker()]
  let refused: Promise<unknown> | null = null
  failing.answer = message => {
    if (message.type !== 'boot') return
    refused = t.rejects(supervisor.prepare(null), { code: 'closed' }, 'there is nothing to replace once it has failed')
    failing.exit(1)
  }
  const answer = slow.answer
  slow.answer = message => message.type !== 'mounted' && answer(message)
  workers.push(failing, slow)
  workers[0]!.kill()
  await until(() => slow.heard.includes('mounted'), patienceMs, 'the one after that')
  await refused
  const upgrade = supervisor.prepare(null).then(({ takeOver }) => takeOver())
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setImmediate(resolve))
  t.equal(workers.length, 3, 'none is started beside it')
  slow.say({ type: 'ready' })
  await upgrade
  t.equal(workers.length, 4)
  t.same(slow.heard.slice(-2), ['mounted', 'stop'])
  t.same(workers[3]!.heard.slice(0, 2), ['prepare', 'boot'])
  t.equal(state.givenUp, null)
  t.equal(supervisor.past.takeovers.count, 2)
  await supervisor.stop()
})

t.test('an upgrade beside another one is refused, and changes nothing of it; one after it is not', async t => {
  const { supervisor, workers, state } = setUpWorkerSupervisor()
  await supervisor.start()
  const first = supervisor.prepare(null)
  const refused = { code: 'closed', message: /another upgrade or move is under way/ }
  await t.rejects(supervisor.prepare(null), refused, 'while the other one is prepared')
  const { takeOver } = await first
  await t.rejects(supervisor.prepare(null), refused, 'before it takes over')
  const over = takeOver()
  await t.rejects(supervisor.prepare(null), { code: 'closed' }, 'while it takes over')
  await over
  t.equal(workers.length, 2, 'no other was started')
  t.same([supervisor.serves, state.givenUp, supervisor.past.takeovers.count], [true, null, 1])
  const failing = new FakeWorker()
  failing.answer = message => message.type === 'prepare' && failing.exit(1)
  workers.push(failing)
  await t.rejects(supervisor.prepare(null))
  await (await supervisor.prepare(null)).takeOver()
  t.equal(supervisor.past.takeovers.count, 2, 'after one that failed')
  await supervisor.stop()
})

t.test('an upgrade brings a version, whose program is copied anew; other settings alone do not', async t => {
  const { supervisor, workers, versions } = setUpWorkerSupervisor()
  await supervisor.start()
  t.same(versions, [null])
  const settings = () => ({}) as Settings
  await (await supervisor.prepare(null, { settings, onBooted: () => {} })).takeOver()
  t.same(versions, [null], 'the worker that has taken over runs from the copy of before')
  await (await supervisor.prepare('/new')).takeOver()
  t.same(versions, [null, '/new'])
  workers[2]!.dies('SIGKILL')
  await until(() => workers[3]?.given !== undefined, patienceMs, 'the next worker')
  t.same(versions, [null, '/new'])
  await supervisor.stop()
})

t.test('upgrades that fail say nothing of the cache: the worker of before goes on with it, at once', async t => {
  const { supervisor, workers, state } = setUpWorkerSupervisor()
  await supervisor.start()
  for (let k = 0; k < 4; k++) {
    const failing = new FakeWorker()
    const { answer } = failing
    failing.answer = message => (message.type === 'boot' ? failing.exit(1) : answer(message))
    workers.push(failing)
    const { takeOver } = await supervisor.prepare(null)
    await takeOver()
    t.equal(workers.length, 2 * k + 3)
  }
  t.same(new Set(workers.map(({ bypass }) => bypass)), new Set([null]))
  t.equal(state.givenUp, null)
  await supervisor.stop()
})
