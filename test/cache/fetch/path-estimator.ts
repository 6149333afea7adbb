/** Latency and bandwidth of an origin, as fetches show them. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { PathEstimator } from '../../../src/cache/fetch/path-estimator.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'

/** A path by a clock of the test's own. */
function path() {
  let nowMs = 1000
  const estimator = new PathEstimator(() => nowMs)
  const pass = (ms: number) => {
    nowMs += ms
  }
  /** Begin a fetch. @returns ends it, well or not */
  const begin = (bytes: number) => {
    const work = deferred()
    const fetching = estimator.measure(bytes, () => work.promise)
    return async (error?: CacheError) => {
      if (error) work.reject(error)
      else work.resolve()
      await fetching.catch(() => {})
      await nextIteration()
    }
  }
  const fetch = async (bytes: number, ms: number) => {
    const end = begin(bytes)
    pass(ms)
    await end()
  }
  return { estimator, pass, begin, fetch }
}

t.test('nothing is known before the first fetch', async t => {
  const { estimator } = path()
  t.same([estimator.latencyMs, estimator.bytesPerSecond, estimator.bdpBytes], [0, 0, 0])
})

t.test('the latency is that of the quickest of the last 64 fetches', async t => {
  const { estimator, fetch } = path()
  for (const ms of [7, 3, 9]) await fetch(1, ms)
  t.equal(estimator.latencyMs, 3)
  for (let k = 0; k < 62; k++) await fetch(1, 8)
  t.equal(estimator.latencyMs, 3, 'the 64th from the end')
  await fetch(1, 8)
  t.equal(estimator.latencyMs, 8)
})

t.test('the bandwidth is what came in 50 ms of fetching, pauses left out', async t => {
  const { estimator, pass, fetch } = path()
  await fetch(3_000_000, 30)
  t.equal(estimator.bytesPerSecond, 0, 'too short to say')
  pass(100_000)
  await fetch(3_000_000, 30)
  t.equal(estimator.bytesPerSecond, 100_000_000)
  t.equal(estimator.bdpBytes, 3_000_000, '30 ms of 100 MB/s')
  pass(1000)
  await fetch(12_000_000, 60)
  t.equal(estimator.bytesPerSecond, 200_000_000, 'each measurement begins afresh')
})

t.test('fetches side by side share the time that they take', async t => {
  const { estimator, pass, begin } = path()
  const ends = [begin(1_000_000), begin(2_000_000)]
  pass(20)
  ends.push(begin(3_000_000))
  pass(40)
  for (const end of ends) await end()
  // The first one that ends makes the measurement; the others belong to the next.
  t.equal(estimator.bytesPerSecond, (1_000_000 / 60) * 1000)
  const end = begin(1_000_000)
  pass(60)
  await end()
  t.equal(estimator.bytesPerSecond, (6_000_000 / 60) * 1000)
})

t.test('of the last twenty measurements the best counts, older ones are forgotten', async t => {
  const { estimator, fetch } = path()
  await fetch(100_000_000, 50)
  for (let k = 0; k < 19; k++) await fetch(50_000, 50)
  t.equal(estimator.bytesPerSecond, 2_000_000_000)
  await fetch(50_000, 50)
  t.equal(estimator.bytesPerSecond, 1_000_000)
})

t.test('a fetch that fails brought nothing, and its time counts', async t => {
  const { estimator, pass, begin, fetch } = path()
  const end = begin(9_000_000)
  pass(30)
  await end(new CacheError('origin-failed', '503'))
  t.equal(estimator.latencyMs, 0)
  pass(1000)
  await fetch(6_000_000, 30)
  t.equal(estimator.bytesPerSecond, 100_000_000)
  t.equal(estimator.latencyMs, 30)
})

t.test('what a fetch brings comes through, and so does what it throws, at once or later', async t => {
  const { estimator } = path()
  t.equal(await estimator.measure(1, async () => 7), 7)
  const failure = new CacheError('origin-failed', '503')
  await t.rejects(
    estimator.measure(1, () => Promise.reject(failure)),
    failure,
  )
  const atOnce = () => {
    throw failure
  }
  await t.rejects(estimator.measure(1, atOnce), failure)
})

/** A link with a latency and a rate, on which fetches queue. */
function link(latencyMs: number, bytesPerSecond: number) {
  const { estimator, pass, begin } = path()
  /** Fetch side by side, each after those before it. @param noiseMs by which each comes late */
  const fetch = async (sizes: readonly number[], noiseMs = 0) => {
    const ends = sizes.map(bytes => begin(bytes))
    let passedMs = 0
    let sentBytes = 0
    for (const [k, end] of ends.entries()) {
      sentBytes += sizes[k]!
      const atMs = latencyMs + (sentBytes / bytesPerSecond) * 1000 + noiseMs
      pass(atMs - passedMs)
      passedMs = atMs
      await end()
    }
  }
  return { estimator, fetch }
}

const [KiB, MiB] = [1024, 1024 ** 2]

t.test('before more was in flight than one block, four times that is trusted to the path', async t => {
  const { estimator, fetch } = link(10, 100 * MiB)
  t.equal(estimator.bytesPerWait, 0, 'nothing is known')
  for (let k = 0; k < 5; k++) await fetch([64 * KiB])
  t.equal(estimator.bytesPerWait, 256 * KiB)
  await fetch([64 * KiB, 256 * KiB])
  t.equal(Math.round(estimator.bytesPerWait / KiB), 1024, '10 ms of 100 MiB/s')
})

t.test('delays tell what a path carries in a wait, be it much or little', async t => {
  for (const [latencyMs, bytesPerSecond] of [
    [10, 100 * MiB],
    [10, 1.25e6],
    [50, 40 * MiB],
    [0.25, 512 * MiB],
  ] as const) {
    const expected = (latencyMs / 1000) * bytesPerSecond
    const { estimator, fetch } = link(latencyMs, bytesPerSecond)
    for (let k = 0; k < 20; k++) await fetch([64 * KiB, 512 * KiB])
    for (let k = 0; k < 3; k++) await fetch([64 * KiB])
    t.ok(Math.abs(estimator.bytesPerWait - expected) < 0.01 * expected, `${estimator.bytesPerWait} of ${expected}`)
  }
})

t.test('where nothing slows, four times the most that was in flight is trusted to the path', async t => {
  const { estimator, fetch } = link(10, Number.POSITIVE_INFINITY)
  await fetch([64 * KiB])
  await fetch([64 * KiB, 192 * KiB])
  t.equal(estimator.bytesPerWait, 1 * MiB)
  await fetch([64 * KiB, 960 * KiB])
  t.equal(estimator.bytesPerWait, 4 * MiB)
})

t.test('late answers do not count as slow bytes, be they few or most; delays of long ago are forgotten', async t => {
  const { estimator, fetch } = link(10, 100 * MiB)
  for (let k = 0; k < 20; k++) await fetch([64 * KiB, 512 * KiB], k % 4 === 3 ? 2000 : 0)
  t.equal(Math.round(estimator.bytesPerWait / KiB), 1024)
  for (let k = 0; k < 40; k++) await fetch([64 * KiB, 512 * KiB], k % 4 === 3 ? 0 : 2000)
  t.equal(estimator.bytesPerWait, 4 * 576 * KiB, 'a wait of 2 s is worth more')
  for (let k = 0; k < 64; k++) await fetch([64 * KiB])
  t.equal(estimator.bytesPerWait, 256 * KiB, 'as at first: it is tried again')
})

t.test('a storm of native fetches fills the path, and is over when none comes any more', async t => {
  const { estimator, pass } = path()
  // 32 readers, each of which fetches its next block when it has one: 10 ms and 100 MiB/s, which 16 blocks fill.
  for (let k = 0; k < 200; k++) {
    pass(0.625)
    estimator.arrivedNatively(64 * KiB, k < 32 ? 10 + 0.625 * (k + 1) : 20)
  }
  t.ok(estimator.inFlightBytes >= 15 * 64 * KiB, `${estimator.inFlightBytes} bytes`)
  pass(21)
  t.equal(estimator.inFlightBytes, 0)
  pass(1000)
  estimator.arrivedNatively(64 * KiB, 10.625)
  t.equal(estimator.inFlightBytes, 64 * KiB)
})

t.test('bytes in flight are counted until they come, or fail', async t => {
  const { estimator, begin } = path()
  const [first, second] = [begin(1000), begin(500)]
  t.equal(estimator.inFlightBytes, 1500)
  await first()
  t.equal(estimator.inFlightBytes, 500)
  await second(new CacheError('origin-failed', '503'))
  t.equal(estimator.inFlightBytes, 0)
})
