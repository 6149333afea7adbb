/** Fleet of a worker: its opening where guests wait, and where none does. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { WorkerFleet } from '../../../src/daemon/worker/worker-fleet.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

/** A key that is missing until it is put back, and the ticks of a clock. */
function setUp() {
  const state = { isThere: false, opened: 0, isTicking: false }
  let tick: () => unknown = () => {}
  const every = (_ms: number, work: () => unknown) => {
    state.isTicking = true
    tick = work
    return () => {
      state.isTicking = false
    }
  }
  const open = async () => {
    if (!state.isThere) throw new CacheError('invalid-argument', 'the key cannot be read')
    state.opened++
  }
  const pass = async () => {
    tick()
    await new Promise(resolve => setImmediate(resolve))
  }
  return { state, open, pass, fleet: new WorkerFleet(every), logger: keepingLogger() }
}

t.test('a first mount fails with what cannot be opened', async t => {
  const { fleet, open, logger, state } = setUp()
  await t.rejects(fleet.open(open, false, logger), { code: 'invalid-argument' })
  t.notOk(state.isTicking)
})

t.test('where guests wait, the worker goes on without, says it once, and tries until it is open', async t => {
  const { fleet, open, logger, state, pass } = setUp()
  await fleet.open(open, true, logger)
  await pass()
  const { lines } = logger
  t.match(lines, [{ level: 'error', message: /the fleet is not open/ }])
  t.equal(lines.length, 1)
  state.isThere = true
  await pass()
  t.match(lines[1], { level: 'info', message: 'the fleet is open' })
  t.same([state.opened, state.isTicking], [1, false])
  await fleet.close()
})

t.test('its end ends the tries', async t => {
  const { fleet, open, logger, state } = setUp()
  await fleet.open(open, true, logger)
  t.ok(state.isTicking)
  await fleet.close()
  t.notOk(state.isTicking)
})
