/** Turns of other hosts by a clock of the test's own: the serving rate, refusals of members, requests at the origin. */
import t from 'tap'
import { fillsMax, sendingBytesMax } from '../../../src/fleet/server/limits.ts'
import { ServingTurns } from '../../../src/fleet/server/serving-turns.ts'
import { type FakeClock, fakeClock } from '../../fixtures/fake-clock.ts'

const { signal } = new AbortController()
const MiB = 2 ** 20

/** Turns whose pauses go by the clock, which has run for a while. */
async function turnsAt(clock: FakeClock, bytesPerSecond: number): Promise<ServingTurns> {
  await clock.advance(1000)
  const wait = (ms: number) => new Promise<void>(resolve => void clock.after(ms, resolve))
  return new ServingTurns(bytesPerSecond, { now: clock.now, wait })
}

t.test('bytes go at the serving rate, those of native threads and all others together', async t => {
  const clock = fakeClock()
  const turns = await turnsAt(clock, 10 * MiB)
  const sent: number[] = []
  for (let k = 0; k < 10; k++) {
    void turns.rated(MiB, signal).then(() => sent.push(clock.now()))
    void turns.piece(MiB, 1, signal, async () => sent.push(clock.now()))
  }
  await clock.advance(1000)
  // A tenth of a second is made up for: 1 MiB of a rate of ten.
  t.equal(sent.length, 11)
  await clock.advance(1000)
  t.equal(sent.length, 20)
  t.equal(turns.sentBytes, 20 * MiB)
})

t.test('a member is refused once its turn would come later than another takes to be asked', async t => {
  const clock = fakeClock()
  const turns = await turnsAt(clock, 10 * MiB)
  t.notOk(turns.isBusy)
  void turns.rated(MiB, signal)
  void turns.rated(0.5 * MiB, signal)
  t.notOk(turns.isBusy, 'in 50 ms')
  void turns.rated(0.02 * MiB, signal)
  t.ok(turns.isBusy, 'in 52 ms')
  await clock.advance(3)
  t.notOk(turns.isBusy)
})

t.test('another rate counts from now on', async t => {
  const clock = fakeClock()
  const turns = await turnsAt(clock, MiB)
  turns.setRate(100 * MiB)
  t.equal(turns.bytesPerSecond, 100 * MiB)
  let isSent = false
  void turns.rated(20 * MiB, signal).then(() => {
    isSent = true
  })
  await clock.advance(95)
  t.notOk(isSent)
  await clock.advance(10)
  t.ok(isSent)
})

t.test('bytes that were not sent are not counted', async t => {
  const turns = await turnsAt(fakeClock(), 2 ** 40)
  await turns.rated(1000, signal)
  turns.returned(400)
  t.equal(turns.sentBytes, 600)
})

t.test('a full budget of memory waits in turns; a request over the bound of fills has none', async t => {
  const turns = await turnsAt(fakeClock(), 2 ** 50)
  let end = () => {}
  const held = turns.piece(sendingBytesMax, 1, signal, () => new Promise<void>(resolve => void (end = resolve)))
  let isNext = false
  const next = turns.piece(1, 2, signal, async () => {
    isNext = true
  })
  await new Promise(resolve => setImmediate(resolve))
  t.notOk(isNext)
  end()
  await Promise.all([held, next])
  t.ok(isNext)
  const ends = Array.from({ length: fillsMax }, () => turns.beginFill())
  t.ok(ends.every(one => one !== null))
  t.equal(turns.beginFill(), null)
  ends[0]?.()
  t.equal(turns.fills, fillsMax - 1)
  t.ok(turns.beginFill())
})
