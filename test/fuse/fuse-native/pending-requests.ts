/** Every request is answered once. */
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { PendingRequests, type Work } from '../../../src/fuse/fuse-native/pending-requests.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

function setUp() {
  const logger = keepingLogger()
  const said: unknown[] = []
  const calls = new PendingRequests({ logger, nowMs: () => 0 })
  const accept = (work: Partial<Work<number>> & Pick<Work<number>, 'run'>) =>
    calls.accept({
      operation: 'READ',
      path: '/a',
      deadlineMs: 10_000,
      answer: value => void said.push(value),
      refuse: result => void said.push(result),
      undo: value => void said.push(`undo ${value}`),
      ...work,
    })
  return { calls, said, logger, accept }
}

t.test('values and errors, at once and later, are answered once', async t => {
  const { said, accept, calls, logger } = setUp()
  accept({ run: () => 1 })
  accept({ run: async () => 2 })
  accept({
    run: () => {
      throw new CacheError('not-found', 'no')
    },
  })
  accept({ run: () => Promise.reject(new CacheError('origin-failed', 'no')) })
  t.equal(calls.gauges().inFlight, 2)
  await turn()
  t.same(said, [1, -2, 2, -5])
  t.match(calls.gauges(), { inFlight: 0, failed: 2, expired: 0 })
  t.match(logger.lines.at(-1), { level: 'warn', facts: { opcode: 'READ', path: '/a' } })
})

t.test('a deadline answers, ends the work, and takes back what comes later; null waits', async t => {
  const { said, accept, calls } = setUp()
  let finish: (value: number) => void = () => {}
  let ended = false
  accept({
    deadlineMs: 20,
    run: ({ signal }) => {
      signal.addEventListener('abort', () => (ended = true))
      return new Promise(resolve => (finish = resolve))
    },
  })
  accept({ deadlineMs: null, run: () => new Promise(() => {}) })
  await until(() => said.length === 1, patienceMs, 'the deadline')
  t.same(said, [-5])
  t.ok(ended)
  finish(7)
  await turn()
  t.same(said, [-5, 'undo 7'])
  t.match(calls.gauges(), { inFlight: 1, expired: 1 })
})

t.test('a stop answers what waits and whatever comes', async t => {
  const { said, accept, calls } = setUp()
  accept({ run: () => new Promise(() => {}) })
  calls.stop()
  t.same(said, [-5])
  accept({ run: () => 1 })
  t.same(said, [-5, -5])
  t.equal(calls.gauges().inFlight, 0)
})
