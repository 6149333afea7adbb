/** Samples: rates and latencies between two looks. */
import t from 'tap'
import { LatencyHistogram } from '../../src/base/latency-histogram.ts'
import { webSamplesMax } from '../../src/web/limits.ts'
import { LiveSamples, sampleColumns } from '../../src/web/live-samples.ts'
import { liveStatus } from '../fixtures/web-page.ts'

const numberIn = (sample: readonly (number | null)[], column: (typeof sampleColumns)[number]) =>
  sample[sampleColumns.indexOf(column)]

t.test('a sample has the rates of the time since the one before', async t => {
  const samples = new LiveSamples()
  t.equal(samples.add(liveStatus(), 1000, 5), null)
  const hits = new LatencyHistogram()
  for (let k = 0; k < 100; k++) hits.add(k < 98 ? 0.5 : 40_000)
  const { latencies } = liveStatus()
  const reads = { hits: 1000, misses: 100, hitBytes: 90 * 1024 ** 2 + 4096, missBytes: 10 * 1024 ** 2 }
  const after = liveStatus({ reads, latencies: { ...latencies, memory: hits.snapshot() } })
  const sample = samples.add(after, 3000, 6)!
  t.equal(sample.length, sampleColumns.length)
  t.equal(numberIn(sample, 'atMs'), 6)
  t.equal(numberIn(sample, 'hits'), 50)
  t.equal(numberIn(sample, 'hitBytes'), 2048)
  t.equal(numberIn(sample, 'misses'), 0)
  t.equal(numberIn(sample, 'missP99'), null)
  t.ok(numberIn(sample, 'hitP50')! < 0.001)
  t.equal(numberIn(sample, 'hitP99'), 64, 'JSON has no infinity')
  t.same(JSON.parse(JSON.stringify(sample)), sample)
})

t.test('one sample more than are kept, and the oldest goes', async t => {
  const samples = new LiveSamples()
  for (let k = 0; k <= webSamplesMax + 1; k++) samples.add(liveStatus(), k * 1000, k)
  t.equal(samples.all.length, webSamplesMax)
  t.equal(samples.all[0]![0], 2)
})
