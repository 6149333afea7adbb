/**
 * Images that are read whole pass through the wrappers of an opened origin: counted as they come, within its rate, in
 * one slot, without a deadline, and never tried again by a wrapper.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { openOrigin } from '../../../src/origin/open-origin.ts'
import { CircuitState } from '../../../src/origin/wrappers/circuit-state.ts'
import { DeadlineOrigin } from '../../../src/origin/wrappers/deadline.ts'
import { readWholeOf } from '../../../src/origin/wrappers/forwarding-origin.ts'
import { Meter } from '../../../src/origin/wrappers/meter.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { FrontOnlyOrigin } from '../../fixtures/front-only-origin.ts'
import { startHttpOrigin } from '../../fixtures/http-origin.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'

const signal = new AbortController().signal
const sample = { seed: 6, sizeBytes: 1_000_000, dataShare: 1 }

t.test('one request, its bytes counted as they come', async t => {
  const directory = t.testdir()
  writeFileSync(join(directory, 'a.img'), sampleBytes(sample, 0, sample.sizeBytes))
  const server = await startHttpOrigin({ directory, ranges: 'no' })
  t.teardown(() => server.close())
  const meter = new Meter()
  const availability = new CircuitState('test')
  const throttle = { reads: { perSecond: 0, burst: 0 }, bytes: { perSecond: 2_000_000, burst: 100_000 } }
  const origin = openOrigin(server.url, { addon: noHoles, meter, availability, options: { throttle } })
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  const before = meter.counters()
  const chunks: Buffer[] = []
  const counted: number[] = []
  const startMs = performance.now()
  const take = async (bytes: Uint8Array) => {
    counted.push(meter.counters().bytes - before.bytes)
    chunks.push(Buffer.from(bytes))
  }
  await readWholeOf(origin, image, take, { signal })
  t.ok(Buffer.concat(chunks).equals(sampleBytes(sample, 0, sample.sizeBytes)))
  t.ok(performance.now() - startMs > 300, 'nine tenths of a megabyte at two a second')
  t.ok(counted[0]! < sample.sizeBytes / 2)
  t.same(meter.counters(), { ...before, requests: before.requests + 1, bytes: before.bytes + sample.sizeBytes })
  t.equal(
    meter.details().readLatencies.counts.reduce((sum, count) => sum + count, 0),
    0,
    'it is no read whose latency says anything',
  )

  await server.fault({ kind: 'cut', times: 1 })
  await t.rejects(
    readWholeOf(origin, image, () => {}, { signal }),
    { code: 'origin-failed' },
  )
  t.equal(meter.counters().requests, before.requests + 2, 'it is not tried again')
  t.equal(availability.state, 'available')
})

t.test('an origin whose images have ranges does not read them whole', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 10)
  const image = identify(await origin.lookup('a'))
  await t.rejects(
    readWholeOf(origin, image, () => {}, { signal }),
    { code: 'origin-unsupported' },
  )
})

t.test('a deadline ends no image that is read whole', async t => {
  const inner = new FrontOnlyOrigin()
  inner.put('a', 100_000)
  const image = identify(await inner.lookup('a'))
  inner.beforeChunk = () => new Promise(resolve => setTimeout(resolve, 100))
  let bytes = 0
  const take = (chunk: Uint8Array) => {
    bytes += chunk.length
  }
  await new DeadlineOrigin(inner, 10).readWhole(image, take, { signal })
  t.equal(bytes, 100_000)
})
