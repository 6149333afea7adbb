import t from 'tap'
import { type SeenRead, StreamDetector, type StreamPrediction } from '../../../src/cache/prefetch/stream-detector.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

const limits = { runMin: 2, requestMin: 4, windowMin: 2, windowMax: 256, waitBlocks: 0, waitRunMin: 4, waitRunsMax: 2 }

/** A read that waited for blocks that were never fetched. */
function miss(from: number, count = 1): SeenRead {
  return { from, to: from + count, stalled: true, missed: true }
}

/** Reads one block after the other; of what was fetched ahead it sees the first of each four. */
function* reader(streams: StreamDetector, begin: number, count: number): Generator<StreamPrediction> {
  const fetched = new Set<number>()
  for (let at = begin; at < begin + count; at++) {
    const isAhead = fetched.has(at)
    if (isAhead && at % 4 !== 0) continue
    const wish = streams.observe({ from: at, to: at + 1, stalled: !isAhead, missed: !isAhead }, limits)
    for (const { from, to } of wish?.spans ?? []) for (let k = from; k < to; k++) fetched.add(k)
    if (wish) yield wish
  }
}

t.test('a sequence is seen at its second read, and its window doubles up to the limit', async t => {
  const streams = new StreamDetector()
  t.equal(streams.observe(miss(10), limits), null)
  t.same(streams.observe(miss(11), limits)?.spans, [{ from: 12, to: 14 }])
  const windows: number[] = []
  for (const { stream } of reader(streams, 1000, 3000))
    if (stream.window !== windows.at(-1)) windows.push(stream.window)
  t.same(windows, [2, 4, 8, 16, 32, 64, 128, 256])
})

t.test('of a small file nothing is fetched ahead', async t => {
  const streams = new StreamDetector()
  for (let k = 0; k < 7; k++) t.equal(streams.observe(miss(k), { ...limits, runMin: 8 }), null)
  t.same(streams.observe(miss(7), { ...limits, runMin: 8 })?.spans, [{ from: 8, to: 10 }])
})

t.test('what is wished for is never wished for twice, and is always ahead of the reader', async t => {
  const streams = new StreamDetector()
  let frontier = 0
  for (const { stream, spans } of reader(streams, 0, 3000)) {
    for (const { from, to } of spans) {
      t.ok(from >= frontier && to > from && to <= stream.position + 256)
      frontier = to
    }
  }
  t.ok(frontier >= 3000)
})

t.test('sixteen streams that are woven into each other are all seen', async t => {
  const streams = new StreamDetector()
  const readers = Array.from({ length: 16 }, (_, k) => reader(streams, k * 100_000, 50_000))
  for (let rounds = 0; rounds < 40; rounds++) for (const one of readers) one.next()
  t.equal(streams.active, 16)
  t.ok(readers.every(one => (one.next().value as StreamPrediction).stream.window >= 64))
})

t.test('equal steps are seen at the fourth read, forwards and backwards, and long reads among them', async t => {
  for (const { step, length } of [
    { step: 40, length: 1 },
    { step: -1, length: 1 },
    { step: -700, length: 16 },
  ]) {
    const streams = new StreamDetector()
    const at = (k: number) => 100_000 + k * step
    for (let k = 0; k < 3; k++) t.equal(streams.observe(miss(at(k), length), limits), null)
    const wish = streams.observe(miss(at(3), length), limits)
    t.same(wish?.spans[0], { from: at(4), to: at(4) + length }, `${step}`)
    const next = streams.observe(miss(at(4), length), limits)
    t.ok(next!.spans.length > wish!.spans.length, 'further and further')
  }
})

t.test('long reads that come in another order are one stream', async t => {
  const streams = new StreamDetector()
  const order = [0, 1, 3, 2, 5, 4, 7, 6, 9, 8]
  const wishes = order.map(k => streams.observe({ ...miss(k * 16, 16), missed: k < 2 }, limits))
  t.equal(streams.active, 1)
  t.ok(wishes.findLast(Boolean)!.stream.window >= 64)
})

t.test('blocks that a long stream reads, has just read and will read are passed by; others are not', async t => {
  const streams = new StreamDetector()
  for (const _ of reader(streams, 1000, 600));
  const passing = (block: number, comeMin = 500) => streams.isLongStream(block, comeMin)
  t.ok(passing(1590) && passing(1599) && passing(1600) && passing(1700))
  t.notOk(passing(1590, 700), 'it has not come so far')
  t.notOk(passing(1100), 'long ago')
  t.notOk(passing(999) || passing(2000))
})

t.test('what is told late of a stream begins no other one', async t => {
  const streams = new StreamDetector()
  const told = (from: number) => streams.observe({ from, to: from + 1, stalled: false, missed: false }, limits)
  let stream: unknown = null
  for (const wish of reader(streams, 1000, 600)) stream = wish.stream
  for (const late of [1595, 1500, 1301, 1000]) t.equal(told(late), null)
  t.equal(streams.active, 1)
  const next: (StreamPrediction | null)[] = []
  for (let at = 1600; at < 1800; at += 4) {
    next.push(told(at))
    told(at - 200)
  }
  t.same([...new Set(next.flatMap(wish => (wish ? [wish.stream === stream] : [])))], [true], 'it goes on as it was')
  t.equal(streams.active, 1)
  // The miss there is another reader's.
  for (const _ of reader(streams, 1100, 20));
  t.equal(streams.active, 2)
})

t.test('a window shrinks when what was fetched is missing again, or goes unread', async t => {
  const streams = new StreamDetector()
  const { stream } = [...reader(streams, 0, 1000)].at(-1)!
  t.equal(stream.window, 256)
  const { position } = stream
  t.same(streams.observe(miss(position + 1), limits)?.spans, [{ from: position + 2, to: position + 130 }])
  t.equal(stream.window, 128)
  stream.shrink()
  t.equal(stream.window, 64)
})

t.test(`random reads are no streams (SEED=${seed})`, async t => {
  const random = seeded(seed)
  const streams = new StreamDetector()
  let blocks = 0
  for (let k = 0; k < 20_000; k++) {
    const wish = streams.observe(miss(between(random, 0, 160_000)), limits)
    for (const { from, to } of wish?.spans ?? []) blocks += to - from
  }
  t.ok(blocks < 1000, `${blocks} blocks ahead of 20,000 reads`)
})

/** A reader as fast as its bytes come, each fetch of which takes one trip. @returns blocks come and under way by trip */
function ramp(readBlocks: number, waitBlocks: number): { come: number; underWay: number }[] {
  const streams = new StreamDetector()
  const arrivals = new Map<number, number>()
  const trips: { come: number; underWay: number }[] = []
  for (let at = 0; trips.length < 16; at += readBlocks) {
    const blocks = Array.from({ length: readBlocks }, (_, k) => at + k)
    const now = trips.length
    const missed = blocks.some(block => !arrivals.has(block))
    for (const block of blocks) if (!arrivals.has(block)) arrivals.set(block, now + 1)
    const stalled = blocks.some(block => arrivals.get(block)! > now)
    const read = { from: at, to: at + readBlocks, stalled, missed }
    const { spans = [] } = streams.observe(read, { ...limits, runMin: 8, windowMax: 512, waitBlocks }) ?? {}
    for (const { from, to } of spans) for (let k = from; k < to; k++) if (!arrivals.has(k)) arrivals.set(k, now + 1)
    if (!stalled) continue
    trips.push({ come: at, underWay: [...arrivals.values()].filter(arrival => arrival > now).length })
  }
  return trips
}

t.test('the bytes under way double at each trip once a run is long, and are no more than the run', async t => {
  for (const readBlocks of [1, 2, 16]) {
    const trips = ramp(readBlocks, 0)
    const first = trips.findIndex(({ underWay }) => underWay > readBlocks)
    // 64 KiB each: 4 MiB are 2 Gbit/s over 16 ms, and 16 MiB have come.
    const full = trips.findIndex(({ underWay }) => underWay >= 64)
    t.ok(full - first <= 6, `full after ${full - first} trips, reads of ${readBlocks} blocks`)
    t.ok(trips[full]!.come < 256, `${trips[full]!.come} blocks have come then`)
    for (let k = full; k + 1 < trips.length && trips[k]!.underWay < 256; k++)
      t.ok(trips[k + 1]!.underWay >= 1.5 * trips[k]!.underWay, 'it grows')
    for (const { come, underWay } of trips) t.ok(underWay <= come + 2 * readBlocks, `${underWay} ahead of ${come}`)
  }
})

t.test('as much is under way at once as the path carries in a wait, and no more than twice the run', async t => {
  for (const readBlocks of [1, 2, 16]) {
    const trips = ramp(readBlocks, 512)
    const first = trips.findIndex(({ underWay }) => underWay > readBlocks)
    t.ok(trips[first]!.come <= Math.max(4, readBlocks), `it begins when ${trips[first]!.come} blocks have come`)
    // 16 MiB have come three trips later, and 8 MiB are under way.
    const full = trips.findIndex(({ underWay }) => underWay >= 128)
    t.ok(full - first <= 3 && trips[full]!.come < 256, `${trips[full]!.come} blocks, ${full - first} trips`)
    for (const { come, underWay } of trips)
      t.ok(underWay <= 2 * (come + readBlocks) + readBlocks, `${underWay}, ${come}`)
  }
  for (const { come, underWay } of ramp(1, 8))
    if (come < 16) t.ok(underWay <= 9, `${underWay} are more than it carries`)
})

t.test('a reader that does not wait has no more fetched for what the path carries', async t => {
  const streams = new StreamDetector()
  const quick = { ...limits, runMin: 8, waitBlocks: 512 }
  for (let k = 0; k < 7; k++) t.equal(streams.observe({ ...miss(k), stalled: false }, quick), null)
})

t.test('what session threads fetched before it was wished for is not lost, and the window goes on growing', async t => {
  const streams = new StreamDetector()
  const windows: number[] = []
  for (let at = 0; at < 128; at += 2) {
    const wish = streams.observe({ ...miss(at, 2), isNative: true }, { ...limits, runMin: 8 })
    if (wish) windows.push(wish.stream.window)
  }
  t.same([...new Set(windows)], [4, 8, 16, 32, 64, 128])
  t.same(
    windows,
    [...windows].sort((a, b) => a - b),
    'it never shrinks',
  )
})

t.test('a window is refilled by whole requests', async t => {
  const streams = new StreamDetector()
  const lengths: number[] = []
  for (let at = 0; at < 24; at += 1) {
    const { spans = [] } =
      streams.observe({ ...miss(at), missed: at < 8 }, { ...limits, runMin: 8, windowMax: 8 }) ?? {}
    for (const { from, to } of spans) lengths.push(to - from)
  }
  t.ok(lengths.length > 3 && lengths.slice(2).every(length => length >= limits.requestMin), `${lengths}`)
})
