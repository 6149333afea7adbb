/**
 * Rates and bursts, by a clock that the tests move.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { abortable } from '../../../src/async/abortable.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { type ThrottleClock, ThrottleOrigin } from '../../../src/origin/wrappers/throttle.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'
import { ScriptedOrigin } from '../../fixtures/scripted-origin.ts'

const signal = new AbortController().signal
const none = { perSecond: 0, burst: 0 }

originContract('a throttled directory', async directory => {
  const inner = new FileOrigin(pathToFileURL(directory).href, noHoles)
  const many = { perSecond: 1_000_000_000, burst: 0 }
  return new ThrottleOrigin(inner, { reads: many, bytes: many })
})

/** Reads of so many bytes each, and when they began. */
async function started(options: ConstructorParameters<typeof ThrottleOrigin>[1]) {
  const fake = fakeClock()
  // A new caller must have looked at the clock before it moves.
  const clock = { ...fake, advance: (ms: number) => fake.advance(0).then(() => fake.advance(ms)) }
  const times: number[] = []
  const inner = new ScriptedOrigin({ a: new Uint8Array(1000) }, async () => void times.push(clock.now()))
  const pause: ThrottleClock['pause'] = (ms, own) =>
    abortable(new Promise(resolve => clock.after(ms, resolve as () => void)), own)
  const origin = new ThrottleOrigin(inner, options, { nowMs: clock.now, pause })
  const image = { ...(await origin.lookup('a', { signal })), id: 'a' }
  times.length = 0
  const read = (bytes: number, own = signal) => origin.read(image, 0, new Uint8Array(bytes), { signal: own })
  return { clock, times, origin, read }
}

t.test('a burst goes at once, and then one after the other at the rate', async t => {
  const { clock, times, read } = await started({ reads: { perSecond: 10, burst: 3 }, bytes: none })
  const reads = Promise.all([1, 2, 3, 4, 5, 6].map(() => read(1)))
  await clock.advance(1000)
  await reads
  t.same(times, [0, 0, 0, 100, 200, 300])
  await clock.advance(10_000)
  const more = Promise.all([1, 2, 3, 4, 5].map(() => read(1)))
  await clock.advance(1000)
  await more
  t.same(
    times.slice(6).map(ms => ms - 11_000),
    [0, 0, 0, 100, 200],
    'a rest gives a burst and no more',
  )
})

t.test('without a burst, it is what comes in a second', async t => {
  const { clock, times, read } = await started({ reads: { perSecond: 2, burst: 0 }, bytes: none })
  const reads = Promise.all([1, 2, 3, 4].map(() => read(1)))
  await clock.advance(2000)
  await reads
  t.same(times, [0, 0, 500, 1000])
})

t.test('bytes hold their mean rate, also in reads larger than the burst', async t => {
  const { clock, times, read } = await started({ reads: none, bytes: { perSecond: 1000, burst: 100 } })
  const reads = Promise.all([1, 2, 3, 4].map(() => read(1000)))
  await clock.advance(10_000)
  await reads
  t.equal(times[0], 0)
  for (const k of [1, 2, 3]) t.ok(Math.abs(times[k]! - times[k - 1]! - 1000) <= 101, `${times}`)
})

t.test('the stricter of both rates counts', async t => {
  const { clock, times, read } = await started({
    reads: { perSecond: 10, burst: 1 },
    bytes: { perSecond: 1000, burst: 1 },
  })
  const reads = Promise.all([read(1), read(500), read(1)])
  await clock.advance(2000)
  await reads
  t.same(times.slice(0, 2), [0, 100])
  t.ok(times[2]! >= 550 && times[2]! <= 650, `${times}`)
})

t.test('one who leaves takes nothing, and the others keep their order', async t => {
  const { clock, times, read } = await started({ reads: { perSecond: 1, burst: 1 }, bytes: none })
  const controller = new AbortController()
  const ended: string[] = []
  const first = read(1).then(() => ended.push('first'))
  const leaving = read(1, controller.signal)
  const third = read(1).then(() => ended.push('third'))
  const fourth = read(1).then(() => ended.push('fourth'))
  await clock.advance(10)
  controller.abort()
  await t.rejects(leaving, { code: 'aborted' })
  await clock.advance(5000)
  await Promise.all([first, third, fourth])
  t.same(ended, ['first', 'third', 'fourth'])
  t.same(times[0], 0)
  t.ok(times[1]! <= 1010 && times[2]! - times[1]! >= 1000, `${times}`)
})

t.test('names pass', async () => {
  const { clock, read, origin } = await started({ reads: { perSecond: 1, burst: 1 }, bytes: none })
  const reads = Promise.all([read(1), read(1)])
  await origin.lookup('a', { signal })
  await origin.list({ signal })
  await clock.advance(2000)
  await reads
})

t.test('session threads get a tenth of a second ahead, never more than there is', async t => {
  const clock = fakeClock()
  const has = { reads: 0, bytes: 0 }
  const refill = (reads: number, bytes: number) => {
    const added = { reads: Math.max(0, reads - has.reads), bytes: Math.max(0, bytes - has.bytes) }
    has.reads += added.reads
    has.bytes += added.bytes
    return added
  }
  const times: number[] = []
  const inner = new ScriptedOrigin({ a: new Uint8Array(2000) }, async () => void times.push(clock.now()))
  const pause: ThrottleClock['pause'] = (ms, own) =>
    abortable(new Promise(resolve => clock.after(ms, resolve as () => void)), own)
  const rates = { reads: { perSecond: 5, burst: 4 }, bytes: { perSecond: 10_000, burst: 3000 } }
  const origin = new ThrottleOrigin(inner, rates, { nowMs: clock.now, pause }, { refill })
  const image = { ...(await origin.lookup('a', { signal })), id: 'a' }
  times.length = 0
  const read = (bytes: number) => origin.read(image, 0, new Uint8Array(bytes), { signal })
  t.same(has, { reads: 0, bytes: 0 }, 'nothing before the first read')
  await read(500)
  t.same(has, { reads: 1, bytes: 1000 })
  origin.ration()
  t.same(has, { reads: 1, bytes: 1000 }, 'what is not used is not renewed')
  has.reads = has.bytes = 0
  origin.ration()
  t.same(has, { reads: 1, bytes: 1000 })
  has.reads = has.bytes = 0
  origin.ration()
  t.same(has, { reads: 1, bytes: 500 }, 'the burst is used up')
  has.reads = has.bytes = 0
  origin.ration()
  t.same(has, { reads: 0, bytes: 0 })
  const waiting = read(1)
  await clock.advance(0)
  await clock.advance(1000)
  await waiting
  t.ok(times[1]! > 0, 'what session threads have taken is not there for others')
})
