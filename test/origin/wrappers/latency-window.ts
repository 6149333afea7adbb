/**
 * Quantiles of the latest calls.
 */
import t from 'tap'
import { LatencyWindow } from '../../../src/origin/wrappers/latency-window.ts'

t.test('a quantile is that of the latest calls, and what was long ago is forgotten', async t => {
  const latencies = new LatencyWindow(160)
  t.equal(latencies.quantile(0.99), 0)
  for (let ms = 100; ms >= 1; ms--) latencies.add(ms)
  t.equal(latencies.size, 100)
  t.equal(latencies.quantile(0.99), 99)
  t.equal(latencies.quantile(0.5), 50)
  t.equal(latencies.quantile(1), 100)
  for (let k = 0; k < 160; k++) latencies.add(7)
  t.equal(latencies.size, 160)
  t.equal(latencies.quantile(0.99), 7)
})

t.test('a quantile may be as old as a sixteenth of the ring, and no older', async t => {
  const latencies = new LatencyWindow(160)
  latencies.add(1)
  t.equal(latencies.quantile(1), 1)
  for (let k = 0; k < 9; k++) latencies.add(5)
  t.equal(latencies.quantile(1), 1)
  latencies.add(5)
  t.equal(latencies.quantile(1), 5)
})
