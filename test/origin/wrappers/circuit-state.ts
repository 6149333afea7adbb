/**
 * Times at which an origin counts as away, the callers that may ask it then, and its return. The test has the clock.
 */
import t from 'tap'
import { CacheError, isCacheError } from '../../../src/base/errors.ts'
import { RetryAfterError } from '../../../src/origin/contract/retry-after-error.ts'
import { CircuitState, type CircuitTicket } from '../../../src/origin/wrappers/circuit-state.ts'
import {
  originAnswersNeeded,
  originFailuresMax,
  originProbeMsMax,
  originProbeMsMin,
  originTrialsMax,
} from '../../../src/origin/wrappers/limits.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const failure = new CacheError('origin-unreachable', 'refused')
const { signal } = new AbortController()

function setUp() {
  const clock = fakeClock()
  const logger = keepingLogger()
  const states: string[] = []
  const onChange = (state: string) => states.push(state)
  const availability = new CircuitState('http://host/', { logger, onChange, ...clock, random: () => 0.5 })
  const fail = (times: number) => {
    for (let k = 0; k < times; k++) availability.enterNow().failed(failure)
  }
  /** Over: away, and not tried since. */
  const away = () => fail(originFailuresMax)
  return { clock, logger, states, availability, fail, away }
}

/** Tickets as they come. */
function waitFor(availability: CircuitState, count: number): CircuitTicket[] {
  const tickets: CircuitTicket[] = []
  for (let k = 0; k < count; k++) void availability.enter(signal).then(ticket => tickets.push(ticket))
  return tickets
}

t.test('an origin is away after so many failures in a row, and not one before', async t => {
  const { availability, fail } = setUp()
  fail(originFailuresMax - 1)
  availability.enterNow().answered()
  fail(originFailuresMax - 1)
  t.match(availability.status(), { state: 'available', reason: '', outages: 0 })
  fail(1)
  t.match(availability.status(), { state: 'away', reason: 'refused', outages: 1 })
})

t.test('a failure of what began before the latest answer says nothing, nor does one who left', async t => {
  const { availability } = setUp()
  const old = Array.from({ length: 3 * originFailuresMax }, () => availability.enterNow())
  availability.enterNow().answered()
  for (const ticket of old) ticket.failed(failure)
  for (let k = 0; k < 3 * originFailuresMax; k++) availability.enterNow().cancelled()
  t.equal(availability.state, 'available')
})

t.test('while it is away one try at a time goes, after pauses that grow, and names are refused', async t => {
  const { clock, availability, away } = setUp()
  away()
  t.throws(() => availability.enterNow(), { code: 'origin-away', message: /http:\/\/host\/.*refused/ })
  const tickets = waitFor(availability, 20)
  for (let k = 0; k < 8; k++) {
    const pauseMs = Math.min(originProbeMsMax, originProbeMsMin * 2 ** k)
    await clock.advance(pauseMs - 1)
    t.equal(tickets.length, k, `not before ${pauseMs} ms`)
    await clock.advance(1)
    t.equal(tickets.length, k + 1)
    await clock.advance(10_000)
    t.equal(tickets.length, k + 1, 'one at a time')
    t.throws(() => availability.enterNow(), { code: 'origin-away' })
    tickets[k]!.failed(failure)
  }
  t.match(availability.status(), { state: 'away', refused: 9, outages: 1 })
})

t.test('an origin that is back takes a few at a time until it is sure, then everybody', async t => {
  const { clock, logger, states, availability, away } = setUp()
  away()
  const tickets = waitFor(availability, 50)
  await clock.advance(originProbeMsMin)
  t.equal(tickets.length, 1)
  tickets[0]!.answered()
  await clock.advance(0)
  t.match(availability.status(), { state: 'suspect', waiting: 49 - originTrialsMax })
  t.equal(tickets.length, 1 + originTrialsMax, 'no more than that at once')
  for (let k = 1; k < originAnswersNeeded; k++) tickets[k]!.answered()
  await clock.advance(0)
  t.match(availability.status(), { state: 'available', reason: '', waiting: 0, delayed: 50 })
  t.same(states, ['away', 'suspect', 'available'], 'each change is told')
  t.equal(tickets.length, 50)
  t.equal(clock.armed(), 0)
  t.same(
    logger.lines.map(({ level }) => level),
    ['warn', 'info'],
    'a line when it went and one when it came',
  )
})

t.test('one that fails again while it is suspect is away, without another line', async t => {
  const { clock, logger, availability, away } = setUp()
  away()
  for (let k = 0; k < 10; k++) {
    await clock.advance(2 * originProbeMsMax)
    availability.enterNow().answered()
    t.equal(availability.state, 'suspect')
    availability.enterNow().failed(failure)
    t.equal(availability.state, 'away')
  }
  t.equal(logger.lines.length, 1)
  t.equal(availability.status().outages, 1)
})

t.test('absent for an hour: 10,000 readers, some hundred tries, two lines, and everybody is served', async t => {
  const { clock, logger, availability, away } = setUp()
  away()
  let there = false
  let [tries, served] = [0, 0]
  const read = async () => {
    for (;;) {
      const ticket = await availability.enter(signal)
      tries++
      await new Promise<void>(resolve => clock.after(3, resolve))
      if (there) return ticket.answered()
      ticket.failed(failure)
    }
  }
  for (let k = 0; k < 10_000; k++) void read().then(() => served++)
  await clock.advance(3_600_000)
  t.ok(tries > 500 && tries <= 3_600_000 / originProbeMsMax + 10, `${tries} tries`)
  t.equal(served, 0)
  there = true
  await clock.advance(originProbeMsMax * 1.25 + 100)
  t.equal(served, 10_000)
  t.equal(availability.state, 'available')
  t.equal(logger.lines.length, 2)
  t.match(logger.lines[1]?.facts, { seconds: Number })
})

t.test('whoever waits may leave, and the turn to try is not lost with him', async t => {
  const { clock, availability, away } = setUp()
  away()
  const controller = new AbortController()
  const leaving = availability.enter(controller.signal)
  const tickets = waitFor(availability, 1)
  controller.abort()
  await t.rejects(leaving, { code: 'aborted', cause: { code: 'origin-away' } })
  await clock.advance(originProbeMsMin)
  t.equal(tickets.length, 1)
  const more = waitFor(availability, 1)
  tickets[0]!.cancelled()
  await clock.advance(0)
  t.equal(more.length, 1, 'the next one tries in its place, at once')
  await t.rejects(availability.enter(AbortSignal.abort()), { code: 'aborted' })
})

t.test('an origin that names a time is not tried before it', async t => {
  const { clock, availability } = setUp()
  for (let k = 0; k < originFailuresMax; k++) availability.enterNow().failed(new RetryAfterError('busy', 9_000))
  const tickets = waitFor(availability, 1)
  await clock.advance(8_999)
  t.equal(tickets.length, 0)
  await clock.advance(1)
  t.equal(tickets.length, 1)
})

t.test('no timer is left when nobody waits any more', async t => {
  const { clock, availability, away } = setUp()
  away()
  const readers = [new AbortController(), new AbortController()]
  const waiting = readers.map(({ signal }) => availability.enter(signal))
  for (const [k, reader] of readers.entries()) {
    t.equal(clock.armed(), 1)
    reader.abort()
    await t.rejects(waiting[k]!, { code: 'aborted' })
  }
  t.equal(clock.armed(), 0)
  t.ok(isCacheError(availability.error(), 'origin-away'))
})
