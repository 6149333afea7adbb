/**
 * Second requests: their times, their winners, and their cost.
 */

import { pathToFileURL } from 'node:url'
import t from 'tap'
import type { CancelSignal } from '../../../src/base/cancel-signal.ts'
import { CacheError } from '../../../src/base/errors.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { HedgeOrigin, Hedges } from '../../../src/origin/wrappers/hedge.ts'
import { hedgeBurstMax, hedgeMsMin, hedgeSamplesMin, hedgeShareMax } from '../../../src/origin/wrappers/limits.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { type FakeClock, fakeClock } from '../../fixtures/fake-clock.ts'
import { keptSpans } from '../../fixtures/kept-spans.ts'
import { never, ScriptedOrigin, scriptedImage } from '../../fixtures/scripted-origin.ts'

originContract('a hedged directory', async directory => {
  const origin = new FileOrigin(pathToFileURL(directory).href, noHoles)
  // Every read is slow to it: each that is paid for is sent twice.
  const after = (_ms: number, work: () => void) => {
    queueMicrotask(work)
    return () => {}
  }
  return new HedgeOrigin(origin, { after })
})

const { signal } = new AbortController()
const bytes = Uint8Array.from({ length: 100 }, (_, k) => k)
const image = scriptedImage('a', 100)

type Script = (call: number, clock: FakeClock) => Promise<void> | void

/** An origin that has answered as many reads as it takes to know which is slow; `script` has its own count of calls. */
async function warmed(script: Script, warmReads = hedgeSamplesMin) {
  const clock = fakeClock()
  const hedges = new Hedges()
  const signals: CancelSignal[] = []
  const inner = new ScriptedOrigin({ a: bytes }, call =>
    call > warmReads ? script(call - warmReads, clock) : undefined,
  )
  const watched = inner.read.bind(inner)
  inner.read = (...args) => {
    signals.push(args[3].signal)
    return watched(...args)
  }
  const origin = new HedgeOrigin(inner, { hedges, ...clock })
  for (let k = 0; k < warmReads; k++) await origin.read(image, 0, new Uint8Array(50), { signal })
  signals.length = 0
  return { clock, hedges, inner, origin, signals, calls: () => inner.calls - warmReads }
}

t.test('a read that is slow is asked for again, the first answer is taken, and the other is cancelled', async t => {
  const { clock, hedges, origin, signals, calls } = await warmed(call => (call === 1 ? never : undefined))
  const target = new Uint8Array(50)
  const read = origin.read(image, 20, target, { signal })
  await clock.advance(hedgeMsMin - 1)
  t.equal(calls(), 1, 'not before it is slow')
  await clock.advance(1)
  await read
  t.same(target, bytes.subarray(20, 70))
  t.equal(calls(), 2)
  t.same(
    signals.map(each => each.aborted),
    [true, false],
  )
  t.same(hedges.counters(), { sent: 1, won: 1, overBudget: 0 })
})

t.test('a second request is a step of the trace, and its origin requests are steps of it', async t => {
  const { clock, inner, origin } = await warmed(call => (call === 1 ? never : undefined))
  const traces: unknown[] = []
  const reading = inner.read.bind(inner)
  inner.read = (...args) => {
    traces.push(args[3].trace)
    return reading(...args)
  }
  const kept = keptSpans()
  const trace = kept.tracer.begin({}, 0)
  const read = origin.read(image, 20, new Uint8Array(50), { signal, trace })
  await clock.advance(hedgeMsMin)
  await read
  t.match(kept.of('hedge'), { error: null, facts: { 'parentfs.hedge.after_ms': hedgeMsMin } })
  t.equal(traces[0], trace)
  t.not(traces[1], trace)
})

t.test('a first answer that comes after all wins over a second that hangs', async t => {
  const { clock, hedges, origin, signals } = await warmed((call, clock) =>
    call === 1 ? new Promise(resolve => clock.after(50, resolve)) : never,
  )
  const target = new Uint8Array(50)
  const read = origin.read(image, 20, target, { signal })
  await clock.advance(50)
  await read
  t.same(target, bytes.subarray(20, 70))
  t.same(
    signals.map(each => each.aborted),
    [false, true],
  )
  t.same(hedges.counters(), { sent: 1, won: 0, overBudget: 0 })
  t.equal(clock.armed(), 0)
})

t.test("a second request writes to memory of its own, and its bytes come to the reader's at the end", async t => {
  const { clock, inner, origin } = await warmed(call => (call === 1 ? never : undefined))
  const targets: Uint8Array[] = []
  const target = new Uint8Array(50).fill(0xee)
  const before: number[] = []
  const watched = inner.read.bind(inner)
  inner.read = async (...args) => {
    targets.push(args[2])
    await watched(...args)
    before.push(target[0]!)
  }
  const read = origin.read(image, 20, target, { signal })
  await clock.advance(hedgeMsMin)
  await read
  t.equal(targets.length, 2)
  t.equal(targets[0], target)
  t.not(targets[1]!.buffer, target.buffer)
  t.same(before, [0xee], 'it had ended before a byte of it was there')
  t.same(target, bytes.subarray(20, 70))
})

t.test('a failure that may pass is no reason to give up the other request, an answer is', async t => {
  const late = (clock: FakeClock, ms: number) => new Promise<void>(resolve => clock.after(ms, resolve))
  for (const [failing, code, expected] of [
    [1, 'origin-failed', null],
    [2, 'origin-protocol', null],
    [1, 'image-changed', 'image-changed'],
    [2, 'access-denied', 'access-denied'],
  ] as const) {
    const { clock, origin } = await warmed(async (call, clock) => {
      await late(clock, call === failing ? 20 : 40)
      if (call === failing) throw new CacheError(code, 'as told')
    })
    const target = new Uint8Array(50)
    const read = origin.read(image, 20, target, { signal })
    const ended = expected === null ? read : t.rejects(read, { code: expected })
    await clock.advance(60)
    await ended
    if (expected === null) t.same(target, bytes.subarray(20, 70), `${code} of request ${failing}`)
  }
  const { clock, origin } = await warmed(async (call, clock) => {
    await late(clock, 20)
    throw new CacheError('origin-failed', `request ${call}`)
  })
  const read = t.rejects(origin.read(image, 0, new Uint8Array(20), { signal }), { message: 'request 1' })
  await clock.advance(60)
  await read
})

t.test('an origin that is slow as a whole is asked a little more, and no more than that', async t => {
  const reads = 1_000
  const { clock, hedges, origin } = await warmed((_call, clock) => new Promise(resolve => clock.after(1_000, resolve)))
  const all = Promise.all(Array.from({ length: reads }, () => origin.read(image, 0, new Uint8Array(20), { signal })))
  await clock.advance(1_000)
  await clock.advance(1_000)
  await all
  t.equal(hedges.sent, hedgeBurstMax, 'all at once: the burst')
  t.equal(hedges.unpaid, reads - hedgeBurstMax)
  const before = hedges.sent
  for (let k = 0; k < 200; k++) {
    const read = origin.read(image, 0, new Uint8Array(20), { signal })
    await clock.advance(3_000)
    await read
  }
  t.ok(hedges.sent - before <= 200 * hedgeShareMax + hedgeBurstMax, `${hedges.sent - before} of 200`)
})

t.test('hedges do not put off the next ones, however many there are', async t => {
  // 1 in 50 never answers, the others and all second ones after 15 ms.
  let reads = 0
  const { clock, hedges, origin } = await warmed((_call, clock) => {
    const isSecond = hedges.sent > seen
    seen = hedges.sent
    if (!isSecond && reads % 50 === 0) return never
    return new Promise(resolve => clock.after(15, resolve))
  })
  let seen = 0
  let longestMs = 0
  for (reads = 1; reads <= 3_000; reads++) {
    const startMs = clock.now()
    let isOver = false
    const read = origin.read(image, 0, new Uint8Array(50), { signal }).then(() => (isOver = true))
    while (!isOver && clock.now() - startMs < 1_000) await clock.advance(1)
    await read
    longestMs = Math.max(longestMs, clock.now() - startMs)
  }
  t.equal(hedges.won, 60)
  t.ok(longestMs <= 2 * 16 + 1, `the slowest took ${longestMs} ms`)
})

t.test('nothing is slow before enough is known, and each order of length is known by itself', async t => {
  const few = await warmed(() => new Promise(resolve => few.clock.after(100, resolve)), hedgeSamplesMin - 1)
  const read = few.origin.read(image, 0, new Uint8Array(50), { signal })
  await few.clock.advance(100)
  await read
  t.equal(few.calls(), 1)
  const enough = await warmed(() => new Promise(resolve => enough.clock.after(100, resolve)))
  const longer = enough.origin.read(image, 0, new Uint8Array(90), { signal })
  await enough.clock.advance(100)
  await longer
  t.equal(enough.calls(), 1)
})

t.test('a caller who leaves ends both requests, and neither writes to the target afterwards', async t => {
  const { clock, origin, signals } = await warmed(() => never)
  const controller = new AbortController()
  const target = new Uint8Array(50)
  const read = origin.read(image, 0, target, { signal: controller.signal })
  await clock.advance(hedgeMsMin)
  controller.abort()
  await t.rejects(read, { code: 'aborted' })
  t.same(
    signals.map(each => each.aborted),
    [true, true],
  )
})
