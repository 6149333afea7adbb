/** The screen of top, from two statuses. */
import t from 'tap'
import type { Status } from '../../../src/admin/status.ts'
import { addLatencies, type LatencyCounts, LatencyHistogram, noLatencies } from '../../../src/base/latency-histogram.ts'
import type { ImageStatus } from '../../../src/cache/cache-status.ts'
import { frameOf } from '../../../src/cli/output/top-frame.ts'

const KiB = 1024

const noMisses = { misses: 0, missBytes: 0, missMs: 0 }

function image(name: string, more: Partial<ImageStatus>): ImageStatus {
  const facts = {
    sizeBytes: 1000 * KiB,
    residentBytes: 0,
    complete: false,
    passBytes: null,
    validator: 'v',
    ...{ digest: 'none' as const, proof: null, mode: 'promote' as const },
  }
  return { name, ...facts, pinned: false, open: false, hits: 0, hitBytes: 0, ...noMisses, ...more }
}

/** So many that took so long, in milliseconds. */
function took(count: number, ms: number): LatencyCounts {
  const histogram = new LatencyHistogram()
  for (let k = 0; k < count; k++) histogram.add(ms)
  return histogram.snapshot()
}

function status(hits: number, images: readonly ImageStatus[], pid = 7): Status {
  return {
    mountpoint: '/mnt',
    state: 'ready',
    pid,
    cache: { usedBytes: 512 * KiB, capacityBytes: 1024 * KiB },
    gauges: { requests: 3, inflightFetches: 2 },
    health: { state: 'bypass', reason: 'slow' },
    reads: { hits, misses: hits / 10, hitBytes: hits * KiB, missBytes: 0 },
    origin: { requests: hits / 5, bytes: 0, errors: 4, state: 'away' },
    promotion: { promotedBytes: 0, queuedBytes: 0, dropped: 0 },
    eviction: { bytes: 0 },
    scrub: { verifiedBytes: 0, corruptBlocks: 0 },
    // The first hundred were slow: of before.
    latencies: {
      memory: addLatencies(took(Math.min(hits, 100), 900), took(hits - 100, 0.01)),
      disk: noLatencies,
      store: noLatencies,
      origin: took(hits / 10, 3),
    },
    images,
  } as unknown as Status
}

t.test('rates are what happened, by second; the busiest image comes first', async t => {
  const before = status(100, [image('idle', {}), image('busy', { misses: 1, missBytes: KiB, missMs: 5 })])
  const hits = { hits: 40, hitBytes: 160 * KiB }
  const busy = image('busy', {
    ...hits,
    misses: 5,
    missBytes: 9 * KiB,
    missMs: 45,
    residentBytes: 100 * KiB,
    open: true,
  })
  const text = frameOf(before, status(300, [image('idle', {}), busy]), { seconds: 2, rows: 40 })
  t.match(text, /^\/mnt +ready, worker 7, 3 requests under way$/m)
  t.match(text, /^hits +100\/s, 100 KiB\/s, 90\.9 % of reads, p50 12 µs, p99 16 µs$/m)
  t.match(text, /^misses +10\.0\/s, 0 B\/s, 2 extents in flight, p50 3\.1 ms, p99 4\.1 ms$/m)
  t.match(text, /^origin +20\.0\/s, 0 B\/s, 4 failed, away$/m)
  t.match(text, /^cache +512 KiB of 1 MiB \(50\.0 %\)$/m)
  t.match(text, /^cache disk +bypass: slow$/m)
  t.match(
    text,
    /^IMAGE.*\nbusy +20\.0\/s +80 KiB\/s +2\.0\/s +4 KiB\/s +10\.0 ms +50 KiB\/s +10\.0 % +yes\nidle +0\.0\/s +0 B\/s +0\.0\/s +0 B\/s +- +0 B\/s/m,
  )
})

t.test('a daemon that was restarted begins at zero, a new version too, and nothing is ever negative', async t => {
  const other = image('a', { misses: 2, missBytes: 2 * KiB, missMs: 2, validator: 'w' })
  const before = status(100, [image('a', { misses: 50, missBytes: 50 * KiB, missMs: 50 })])
  t.match(
    frameOf(before, status(100, [other]), { seconds: 1, rows: 40 }),
    /^a +0\.0\/s +0 B\/s +2\.0\/s +2 KiB\/s +1\.0 ms/m,
  )
  const restarted = frameOf(before, status(10, [other], 8), { seconds: 1, rows: 40 })
  t.match(restarted, /^hits +10\.0\/s/m)
  t.notMatch(restarted, /-\d/)
})

t.test('it fits into the lines that there are', async t => {
  const many = Array.from({ length: 100 }, (_, k) => image(`image${k}`, {}))
  for (const rows of [5, 14, 24]) {
    const lines = frameOf(status(0, many), status(0, many), { seconds: 1, rows }).split('\n').length
    t.ok(lines <= Math.max(rows, 9), `${lines} of ${rows}`)
  }
})
