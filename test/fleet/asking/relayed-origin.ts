/** Reads of an origin that does not answer this host: members that reach it bring them, and it is asked again later. */
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { identify } from '../../../src/base/image.ts'
import { originLookMs, originProbeMs, originSilentMs } from '../../../src/fleet/asking/limits.ts'
import { RelayedOrigin } from '../../../src/fleet/asking/relayed-origin.ts'
import { hopsMax } from '../../../src/fleet/wire/wire.ts'
import type { Origin, ReadOptions } from '../../../src/origin/contract/origin.ts'
import { until } from '../../fixtures/until.ts'

const image = identify({ origin: 'https://o/', key: 'a', sizeBytes: 65_536, validator: 'v', modifiedMs: 0 })

/** An origin whose bytes are ones, and members whose bytes are twos, by a clock of the test. */
function reached(t: Test) {
  const timers: { atMs: number; work: (() => void) | null }[] = []
  const state = { nowMs: 0, isAway: false, relays: true, answer: 'right' as 'right' | 'silent' | CacheError }
  const counts = { origin: 0, optional: 0, relayed: 0, failed: 0 }
  const inner: Pick<Origin, 'read'> = {
    read: async (_image, _offset, target, { signal, isOptional }: ReadOptions) => {
      counts[isOptional ? 'optional' : 'origin']++
      if (state.answer instanceof CacheError) throw state.answer
      if (state.answer === 'silent') {
        await new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(new CacheError('aborted', 'left')), { once: true }),
        )
      }
      target.fill(1)
    },
  }
  const origin = new RelayedOrigin({
    inner,
    reach: { isAway: () => state.isAway, failed: () => void counts.failed++ },
    relay: {
      read: async ({ target }) => {
        counts.relayed++
        if (state.relays) target.fill(2)
        return state.relays
      },
    },
    now: () => state.nowMs,
    after: (ms, work) => {
      const timer = { atMs: state.nowMs + ms, work: work as (() => void) | null }
      timers.push(timer)
      return () => {
        timer.work = null
      }
    },
  })
  t.teardown(() => origin.close())
  const pass = async (ms: number) => {
    for (const endMs = state.nowMs + ms; state.nowMs < endMs; ) {
      state.nowMs += originLookMs
      for (const timer of timers.filter(({ atMs }) => atMs <= state.nowMs)) {
        const { work } = timer
        timer.work = null
        work?.()
      }
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  const read = async (hop = 0) => {
    const target = Buffer.alloc(4_096)
    const range = { image, unit: 0, offset: 0, target, hop, isProven: false }
    await origin.read(range, { signal: new AbortController().signal })
    return target.every(byte => byte === target[0]) ? target[0] : 'mixed'
  }
  return { state, counts, read, pass, waiting: () => timers.filter(({ work }) => work !== null).length }
}

t.test('an origin that answers is read by itself, and nothing is left behind', async t => {
  const { read, counts, waiting } = reached(t)
  t.equal(await read(), 1)
  t.match(counts, { origin: 1, relayed: 0, failed: 0 })
  t.equal(waiting(), 0)
})

t.test('an origin that is away is read through members, and asked itself now and then', async t => {
  const { read, counts, state, pass } = reached(t)
  state.isAway = true
  t.equal(await read(), 2)
  t.equal(await read(), 2)
  t.match(counts, { origin: 0, optional: 1, relayed: 2 }, 'one probe')
  await pass(originProbeMs + originLookMs)
  await read()
  t.equal(counts.optional, 2)
  state.isAway = false
  t.equal(await read(), 1)
})

t.test('an origin that fails is read through members within the same read; its answers are its own', async t => {
  const { read, counts, state } = reached(t)
  state.answer = new CacheError('origin-unreachable', 'no connection')
  t.equal(await read(), 2)
  t.equal(counts.relayed, 1)
  state.answer = new CacheError('image-changed', 'another version')
  await t.rejects(read(), { code: 'image-changed' })
  t.equal(counts.relayed, 1)
})

t.test('a silent origin is left after seconds, the next time at once, and counts as failed', async t => {
  const { read, counts, state, pass, waiting } = reached(t)
  state.answer = 'silent'
  const reading = read()
  await pass(originSilentMs)
  t.equal(counts.relayed, 0)
  await pass(2 * originLookMs)
  t.equal(await reading, 2)
  t.match(counts, { relayed: 1, failed: 1 })
  const next = read()
  await pass(originLookMs)
  t.equal(await next, 2)
  state.answer = 'right'
  t.equal(await read(), 1)
  state.answer = 'silent'
  const third = read()
  await pass(2 * originLookMs)
  t.equal(counts.relayed, 2, 'an answer ends the doubt')
  await pass(originSilentMs)
  t.equal(await third, 2)
  t.equal(waiting(), 0)
})

t.test('without a member that reaches it, the origin decides', async t => {
  const { read, counts, state, pass } = reached(t)
  state.relays = false
  state.answer = new CacheError('origin-timeout', 'nothing in time')
  await t.rejects(read(), { code: 'origin-timeout' })
  state.answer = 'silent'
  let isOver = false
  const reading = read().finally(() => {
    isOver = true
  })
  await pass(3 * originSilentMs)
  t.notOk(isOver)
  t.ok(counts.relayed >= 2)
  state.relays = true
  await pass(2 * originSilentMs)
  t.equal(await reading, 2)
})

t.test('a question that has passed all members leads to no other, and is refused at once', async t => {
  const { read, counts, state, pass } = reached(t)
  state.isAway = true
  await t.rejects(read(hopsMax), { code: 'overloaded' })
  state.isAway = false
  state.answer = 'silent'
  const reading = t.rejects(read(hopsMax), { code: 'overloaded' })
  await until(() => counts.origin === 1, 60_000, 'the origin is asked')
  await pass(originSilentMs + 2 * originLookMs)
  await reading
  t.equal(counts.relayed, 0)
})
