/** Interrupts: requests that end, requests that are looked at again, and interrupts that are repeated. */
import t, { type Test } from 'tap'
import { Interrupts } from '../../../src/fuse/kernel/interrupts.ts'
import { interruptsWaitingMax, killedSweepMax, killedSweepMs } from '../../../src/fuse/kernel/limits.ts'
import { PendingRequest } from '../../../src/fuse/kernel/pending-request.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

function setUp(t: Test) {
  const call = new PendingRequest({ opcode: 15, unique: 8n, nodeId: 1n, pid: 42 })
  const state = {
    call,
    killed: false,
    looks: 0,
    ended: 0,
    repeated: [] as bigint[],
    waiting: [] as PendingRequest[],
    nowMs: 0,
  }
  const interrupts = new Interrupts({
    find: unique => (unique === 8n ? call : undefined),
    wasKilled: pid => {
      t.equal(pid, 42)
      state.looks++
      return state.killed
    },
    end: ended => {
      t.equal(ended, call)
      state.ended++
    },
    repeat: unique => state.repeated.push(unique),
    waiting: () => state.waiting,
    nowMs: () => state.nowMs,
  })
  t.teardown(() => interrupts.stop())
  return { state, interrupts }
}

t.test('a killed reader ends at once', async t => {
  const { state, interrupts } = setUp(t)
  state.killed = true
  interrupts.interrupt(9n, 8n)
  t.equal(state.ended, 1)
  t.equal(interrupts.watched, 0)
})

t.test('a reader with a harmless signal goes on, and ends when it is killed later', async t => {
  const { state, interrupts } = setUp(t)
  interrupts.interrupt(9n, 8n)
  interrupts.interrupt(9n, 8n)
  t.equal(interrupts.watched, 1)
  await until(() => state.looks >= 3, patienceMs, 'three looks')
  t.equal(state.ended, 0)
  state.killed = true
  await until(() => state.ended === 1, patienceMs, 'the end')
  t.equal(interrupts.watched, 0)
})

t.test('an answered request is looked at no more', async t => {
  const { state, interrupts } = setUp(t)
  interrupts.interrupt(9n, 8n)
  interrupts.forget(state.call)
  t.equal(interrupts.watched, 0)
  interrupts.forget(state.call)
})

t.test('an INTERRUPT that overtook its request is repeated, later', async t => {
  const { state, interrupts } = setUp(t)
  interrupts.interrupt(11n, 10n)
  t.same(state.repeated, [], 'not at once')
  await until(() => state.repeated.length > 0, patienceMs, 'the repetition')
  t.same(state.repeated, [11n])
})

t.test(
  'whoever was killed without an INTERRUPT is found by the sweep, and who has not waited for long is not looked at',
  async t => {
    const { state, interrupts } = setUp(t)
    const young = new PendingRequest({ opcode: 15, unique: 10n, nodeId: 1n, pid: 42 })
    const old = Array.from({ length: 5 }, () => state.call)
    state.waiting = [...old, young]
    young.waitsSinceMs = 5_000
    state.nowMs = 5_000
    interrupts.sweepWhileAnyWaits()
    interrupts.sweepWhileAnyWaits()
    await until(() => state.looks === 1, patienceMs, 'the first sweep')
    t.equal(state.ended, 0)
    state.killed = true
    await until(() => state.ended === 5, patienceMs, 'the second sweep')
    t.equal(state.looks, 2, 'one look a sweep for all that a reader waits for')
    state.waiting = []
  },
)

t.test('a sweep looks at a bounded number of readers', async t => {
  const waiting = Array.from(
    { length: killedSweepMax + 1 },
    (_, pid) => new PendingRequest({ opcode: 15, unique: BigInt(2 * pid), nodeId: 1n, pid }),
  )
  const looked: number[] = []
  const interrupts = new Interrupts({
    find: () => undefined,
    wasKilled: pid => looked.push(pid) < 0,
    end: () => {},
    repeat: () => {},
    waiting: () => waiting,
    nowMs: () => killedSweepMs,
  })
  t.teardown(() => interrupts.stop())
  interrupts.sweepWhileAnyWaits()
  await until(() => looked.length > 0, patienceMs, 'the sweep')
  t.equal(looked.length, killedSweepMax)
})

t.test('one INTERRUPT more than may wait is dropped and counted', async t => {
  const { state, interrupts } = setUp(t)
  for (let k = 0; k <= interruptsWaitingMax; k++) interrupts.interrupt(BigInt(2 * k + 101), 10n)
  t.equal(interrupts.dropped, 1)
  await until(() => state.repeated.length === interruptsWaitingMax, patienceMs, 'the repetitions')
})
