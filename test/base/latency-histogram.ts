/** Buckets that double. */
import t from 'tap'
import {
  addLatencies,
  LatencyHistogram,
  latenciesSince,
  latencyBoundsSeconds,
  latencyBuckets,
  latencyQuantile,
  noLatencies,
} from '../../src/base/latency-histogram.ts'

function bucketOf(ms: number): number {
  const histogram = new LatencyHistogram()
  histogram.add(ms)
  return histogram.snapshot().counts.indexOf(1)
}

t.test('each border of a bucket is in it, and what is longer is in the next', async t => {
  t.equal(latencyBoundsSeconds.length, latencyBuckets - 1)
  t.equal(bucketOf(-1), 0)
  t.equal(bucketOf(0), 0)
  for (const [k, seconds] of latencyBoundsSeconds.entries()) {
    t.equal(bucketOf(2 ** k / 1000), k, `${seconds} s`)
    t.equal(bucketOf((2 ** k + 1) / 1000), k + 1, `over ${seconds} s`)
  }
  t.equal(bucketOf(1e9), latencyBuckets - 1)
})

t.test('histograms are added up and taken apart', async t => {
  const histogram = new LatencyHistogram()
  histogram.add(1)
  const before = histogram.snapshot()
  histogram.add(1)
  histogram.add(500)
  const after = histogram.snapshot()
  const between = latenciesSince(before, after)
  t.equal(
    between.counts.reduce((sum, count) => sum + count, 0),
    2,
  )
  t.ok(Math.abs(between.sumSeconds - 0.501) < 1e-9)
  t.same(addLatencies(before, between).counts, after.counts)
  t.same(latenciesSince(after, before).counts, noLatencies.counts, 'never negative')
})

t.test('quantiles lie in the bucket that has them', async t => {
  const histogram = new LatencyHistogram()
  t.equal(latencyQuantile(histogram.snapshot(), 0.5), null)
  for (let k = 0; k < 98; k++) histogram.add(0.1)
  histogram.add(20)
  histogram.add(1e6)
  const counted = histogram.snapshot()
  const half = latencyQuantile(counted, 0.5)!
  t.ok(half > 64e-6 && half <= 128e-6, `${half}`)
  const most = latencyQuantile(counted, 0.985)!
  t.ok(most > 0.016 && most <= 0.033, `${most}`)
  t.equal(latencyQuantile(counted, 1), Number.POSITIVE_INFINITY)
})
