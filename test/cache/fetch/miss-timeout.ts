/**
 * Time that readers wait, the reader that it is counted for, and the error at its end.
 */

import { getEventListeners } from 'node:events'
import t from 'tap'
import type { CancelSignal } from '../../../src/base/cancel-signal.ts'
import { CacheError } from '../../../src/base/errors.ts'
import { MissTimeout, type OnOutage } from '../../../src/cache/fetch/miss-timeout.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const { signal } = new AbortController()

function setUp(missMs: number, onOutage: OnOutage = 'fail') {
  const availability = {
    current: 'away' as 'available' | 'away',
    looks: 0,
    get state() {
      this.looks++
      return this.current
    },
    sinceMs: performance.now(),
    get ageMs() {
      return performance.now() - this.sinceMs
    },
    error: () => new CacheError('origin-away', 'gone'),
  }
  const change = (state: 'available' | 'away') => {
    availability.current = state
    availability.sinceMs = performance.now()
  }
  return { availability, change, patience: new MissTimeout({ missMs, onOutage, availability }) }
}

/** A call that hangs until its signal fires, as a fetch does. */
function hang(own: CancelSignal): Promise<never> {
  return new Promise((_, reject) => own.addEventListener('abort', () => reject(new CacheError('aborted', 'left'))))
}

t.test('what is done, and what fails for good, comes through at once', async t => {
  const { patience } = setUp(60_000)
  t.equal(await patience.run(signal, async () => 7), 7)
  for (const code of ['image-changed', 'origin-failed', 'access-denied', 'aborted'] as const) {
    const work = async () => {
      throw new CacheError(code, '')
    }
    await t.rejects(patience.run(signal, work), { code })
  }
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('a read ends when its time is over, and says whether the origin is away', async t => {
  const { patience, change } = setUp(50)
  const startMs = performance.now()
  await t.rejects(patience.run(signal, hang), { code: 'origin-away' })
  const ms = performance.now() - startMs
  t.ok(ms >= 49 && ms < patienceMs, `${ms} ms`)
  change('available')
  await t.rejects(patience.run(signal, hang), { code: 'origin-timeout' })
})

t.test('the time that a session thread has waited is a part of it, and a third is left at least', async t => {
  const { patience } = setUp(600)
  for (const [waitedMs, leftMs] of [
    [100, 500],
    [550, 200],
    [60_000, 200],
  ] as const) {
    const startMs = performance.now()
    await t.rejects(patience.run(signal, hang, { waitedMs }), { code: 'origin-away' })
    const ms = performance.now() - startMs
    t.ok(ms >= leftMs - 1 && ms < 600, `${waitedMs}: ${ms} ms`)
  }
})

t.test('a fetch that ran out of the time of another reader is begun again', async t => {
  const { patience } = setUp(60_000)
  for (const code of ['origin-away', 'origin-timeout', 'overloaded'] as const) {
    let fetches = 0
    const work = async () => {
      if (++fetches < 3) throw new CacheError(code, 'the time of the first reader')
      return 7
    }
    t.equal(await patience.run(signal, work), 7)
    t.equal(fetches, 3)
  }
  const refused = async () => {
    throw new CacheError('overloaded', 'the origin does not answer here, too')
  }
  await t.rejects(
    patience.run(signal, refused, { isForOthers: true }),
    { code: 'overloaded' },
    'another host hears it at once',
  )
})

t.test('one who waits goes on while the origin is away, has his time again when it is back, and can leave', async t => {
  const { patience, availability, change } = setUp(40, 'wait')
  let fetches = 0
  const work = async () => {
    fetches++
    throw new CacheError('origin-away', 'still')
  }
  const startMs = performance.now()
  const read = patience.run(signal, work)
  let ended = false
  const over = t.rejects(read, { code: /^origin-(away|timeout)$/ }).finally(() => (ended = true))
  await until(() => fetches >= 3, patienceMs, 'three times its time')
  t.ok(performance.now() - startMs > 80)
  t.notOk(ended)
  change('available')
  await over
  const controller = new AbortController()
  change('away')
  const left = patience.run(controller.signal, hang)
  const before = availability.looks
  await until(() => availability.looks >= before + 2, patienceMs, 'twice the end of its time')
  controller.abort()
  await t.rejects(left, { code: 'aborted' })
})
