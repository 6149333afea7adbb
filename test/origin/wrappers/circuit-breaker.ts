/**
 * Failures that count against an origin, and the calls while it is away.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { CacheError, type ErrorCode, errorCodes } from '../../../src/base/errors.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { CircuitBreakerOrigin } from '../../../src/origin/wrappers/circuit-breaker.ts'
import { CircuitState } from '../../../src/origin/wrappers/circuit-state.ts'
import { originFailuresMax, originProbeMsMin } from '../../../src/origin/wrappers/limits.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'
import { ScriptedOrigin, scriptedImage } from '../../fixtures/scripted-origin.ts'

originContract('a directory behind a breaker', async directory => {
  const origin = new FileOrigin(pathToFileURL(directory).href, noHoles)
  return new CircuitBreakerOrigin(origin, new CircuitState(origin.url))
})

const { signal } = new AbortController()
const image = scriptedImage('a', 100)

/** An origin that fails with `failure.code` while that is set. */
function failing() {
  const clock = fakeClock()
  const failure: { code: ErrorCode | null } = { code: null }
  const inner = new ScriptedOrigin({ a: new Uint8Array(100) }, () => {
    if (failure.code !== null) throw new CacheError(failure.code, 'as told')
  })
  const availability = new CircuitState(inner.url, { ...clock, random: () => 0.5 })
  return { clock, failure, inner, availability, origin: new CircuitBreakerOrigin(inner, availability) }
}

t.test('only failures that may pass count against an origin: whatever else it says, it is there', async t => {
  const passing = ['origin-unreachable', 'origin-timeout', 'origin-failed']
  for (const code of Object.keys(errorCodes) as ErrorCode[]) {
    const { failure, availability, origin } = failing()
    failure.code = code
    for (let k = 0; k < originFailuresMax; k++) {
      await t.rejects(origin.read(image, 0, new Uint8Array(9), { signal }), { code })
    }
    t.equal(availability.state, passing.includes(code) ? 'away' : 'available', code)
  }
})

t.test('a failed optional call does not count, and an answered one does', async t => {
  const { failure, availability, origin } = failing()
  const optional = { signal, isOptional: true }
  const fails = async (options: typeof optional | { signal: typeof signal }) => {
    await t.rejects(origin.lookup('a', options), { code: 'origin-failed' })
    await t.rejects(origin.read(image, 0, new Uint8Array(9), options), { code: 'origin-failed' })
  }
  failure.code = 'origin-failed'
  for (let k = 0; k < originFailuresMax; k++) await fails(optional)
  t.equal(availability.state, 'available')
  await fails({ signal })
  failure.code = 'not-found'
  await t.rejects(origin.lookup('a', optional), { code: 'not-found' })
  failure.code = 'origin-failed'
  for (let k = 0; k < originFailuresMax - 1; k += 2) await fails({ signal })
  t.not(availability.state, 'away', 'the failures before the answer are forgiven')
})

t.test('while it is away names are refused without asking, and reads wait and are right', async t => {
  const { clock, failure, inner, availability, origin } = failing()
  failure.code = 'origin-failed'
  for (let k = 0; k < originFailuresMax; k++) await t.rejects(origin.lookup('a', { signal }), { code: 'origin-failed' })
  const { calls } = inner
  const names: (() => Promise<unknown>)[] = [
    () => origin.list({ signal }),
    () => origin.lookup('a', { signal }),
    () => origin.digest(image, { signal }),
  ]
  for (const call of names) await t.rejects(call(), { code: 'origin-away' })
  const target = new Uint8Array(9).fill(1)
  const read = origin.read(image, 0, target, { signal })
  t.equal(inner.calls, calls, 'nobody was asked')
  failure.code = null
  await clock.advance(originProbeMsMin)
  await read
  t.same(target, new Uint8Array(9))
  t.equal(availability.state, 'suspect')
  t.equal((await origin.lookup('a', { signal })).sizeBytes, 100)
})

t.test('a lookup is a try too, once one is due', async t => {
  const { clock, failure, availability, origin } = failing()
  failure.code = 'origin-unreachable'
  for (let k = 0; k < originFailuresMax; k++) await t.rejects(origin.list({ signal }))
  failure.code = 'not-found'
  await clock.advance(originProbeMsMin)
  await t.rejects(origin.lookup('b', { signal }), { code: 'not-found' })
  t.equal(availability.state, 'suspect', 'it answers')
})

t.test('a bug below and a caller who left say nothing of the origin', async t => {
  const inner = new ScriptedOrigin({}, () => {
    throw new TypeError('a bug')
  })
  const availability = new CircuitState(inner.url)
  const origin = new CircuitBreakerOrigin(inner, availability)
  for (let k = 0; k < 2 * originFailuresMax; k++) {
    await t.rejects(origin.list({ signal }), { message: 'a bug' })
    await t.rejects(origin.list({ signal: AbortSignal.abort() }), { code: 'aborted' })
  }
  t.equal(availability.state, 'available')
})

t.test('readers wait on when the origin of earlier settings is closed beside them', async t => {
  const { clock, failure, inner, availability, origin } = failing()
  failure.code = 'origin-unreachable'
  for (let k = 0; k < originFailuresMax; k++) await t.rejects(origin.read(image, 0, new Uint8Array(9), { signal }))
  const earlier = new CircuitBreakerOrigin(inner, availability)
  const reading = origin.read(image, 0, new Uint8Array(9), { signal })
  await earlier.close()
  failure.code = null
  t.equal(clock.armed(), 1)
  await clock.advance(originProbeMsMin)
  await t.resolves(reading)
})
