/** Lookups at an origin that does not answer this host: members tell the version, and what the origin says counts. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { originLookMs, originSilentMs } from '../../../src/fleet/asking/limits.ts'
import type { SecondHandFacts } from '../../../src/fleet/asking/member-versions.ts'
import { RelayedLookups } from '../../../src/fleet/asking/relayed-lookups.ts'
import { openerOfHops } from '../../../src/fleet/wire/wire.ts'
import type { ReadOptions } from '../../../src/origin/contract/origin.ts'
import { forever } from '../../fixtures/rooms.ts'

const facts = { origin: 'https://o/', key: 'a', sizeBytes: 9, validator: 'v', modifiedMs: 0 }
const told: SecondHandFacts = { ...facts, validator: 'told', toldBy: 'm2' }

function names(answer: 'right' | 'silent' | CacheError) {
  const state = { answer, isAway: false, told: told as SecondHandFacts | null }
  const counts = { asked: 0, told: 0, failed: 0 }
  const timers = new Set<{ readonly ms: number; readonly work: () => void }>()
  const names = new RelayedLookups({
    inner: {
      url: facts.origin,
      lookup: async (_key, { signal }: ReadOptions) => {
        counts.asked++
        if (state.answer instanceof CacheError) throw state.answer
        if (state.answer === 'silent')
          await new Promise((_, reject) =>
            signal.addEventListener('abort', () => reject(new CacheError('aborted', 'left')), { once: true }),
          )
        return facts
      },
    },
    reach: { isAway: () => state.isAway, failed: () => void counts.failed++ },
    versions: {
      find: async () => {
        counts.told++
        return state.told
      },
    },
    after: (ms, work) => {
      const timer = { ms, work }
      timers.add(timer)
      return () => timers.delete(timer)
    },
  })
  const pass = async () => {
    for (const timer of [...timers]) {
      timers.delete(timer)
      timer.work()
    }
    await new Promise(resolve => setImmediate(resolve))
  }
  const lookup = (key = 'a', more: Partial<ReadOptions> = {}) => names.lookup(key, { signal: forever, ...more })
  return { state, counts, timers, pass, lookup }
}

t.test('an origin that answers is believed, also when it denies', async t => {
  const { state, counts, timers, lookup } = names('right')
  t.equal(await lookup(), facts)
  for (const code of ['not-found', 'access-denied', 'origin-protocol'] as const) {
    state.answer = new CacheError(code, 'an answer')
    await t.rejects(lookup(), { code })
  }
  t.same([counts.told, timers.size], [0, 0])
})

t.test('after a failure a member tells; without one the failure stands', async t => {
  for (const code of ['origin-unreachable', 'origin-timeout', 'origin-failed', 'origin-away'] as const) {
    const { state, counts, timers, lookup } = names(new CacheError(code, 'no answer'))
    t.equal(await lookup(), told)
    state.told = null
    await t.rejects(lookup(), { code })
    t.same([counts, timers.size], [{ asked: 2, told: 2, failed: 0 }, 0])
  }
})

t.test('a silent origin is left for the word of a member, and waited for without one', async t => {
  const { state, counts, timers, pass, lookup } = names('silent')
  const first = lookup()
  t.same(
    [...timers].map(({ ms }) => ms),
    [originSilentMs],
  )
  await pass()
  t.equal(await first, told)
  t.equal(counts.failed, 1)
  state.isAway = true
  const second = lookup()
  t.same(
    [...timers].map(({ ms }) => ms),
    [originLookMs],
    'sooner where it is known to be away',
  )
  await pass()
  t.equal(await second, told)
  t.equal(counts.failed, 1)
  state.told = null
  const leaver = new AbortController()
  const third = lookup('a', { signal: leaver.signal })
  await pass()
  leaver.abort()
  await t.rejects(third, { code: 'aborted' })
  t.equal(counts.told, 3, 'members are asked once a lookup')
})

t.test('lookups for other hosts and of profiles beside images go to the origin alone', async t => {
  const { counts, timers, lookup } = names(new CacheError('origin-away', 'no answer'))
  await t.rejects(lookup('a', { opener: openerOfHops(0) }), { code: 'origin-away' })
  await t.rejects(lookup('a.parentfs-profile'), { code: 'origin-away' })
  t.same([counts.told, timers.size], [0, 0])
})
