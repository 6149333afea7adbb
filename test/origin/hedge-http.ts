/**
 * The hedge over real HTTP: a server that lets 1 in 50 reads hang, and the slowest per cent with and without.
 *
 * READS=n takes more of them.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { identify } from '../../src/base/image.ts'
import { openOrigin } from '../../src/origin/open-origin.ts'
import { Hedges } from '../../src/origin/wrappers/hedge.ts'
import { hedgeBurstMax, hedgeShareMax } from '../../src/origin/wrappers/limits.ts'
import { Meter } from '../../src/origin/wrappers/meter.ts'
import { noHoles } from '../fixtures/extents.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'

const reads = Number(process.env.READS ?? 600)
/** Far more than a read takes on a busy machine. */
const stallMs = 1_500
const lengthBytes = 64 * 1024
const sample = { seed: 17, sizeBytes: 16 * 1024 ** 2, dataShare: 1 }
const expected = sampleBytes(sample, 0, sample.sizeBytes)
const { signal } = new AbortController()

/** @returns the time of the slowest per cent, in milliseconds, and the requests beyond one a read */
async function measure(t: Test, shareMax: number) {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-test-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  writeSample(join(directory, 'a.raw'), sample)
  const server = await spawnHttpOrigin({ directory })
  t.teardown(() => server.close())
  const [hedges, meter] = [new Hedges(), new Meter()]
  const options = { hedgeShareMax: shareMax, http: { firstByteMsMax: stallMs } }
  const origin = openOrigin(server.url, { addon: noHoles, hedges, meter, options })
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.raw', { signal }))
  const times: number[] = []
  let wrong = 0
  const read = async (k: number) => {
    const offset = (k * lengthBytes) % (sample.sizeBytes - lengthBytes)
    const target = new Uint8Array(lengthBytes)
    const startMs = performance.now()
    await origin.read(image, offset, target, { signal })
    times.push(performance.now() - startMs)
    if (Buffer.compare(target, expected.subarray(offset, offset + lengthBytes)) !== 0) wrong++
  }
  // The usual latency is known.
  for (let k = 0; k < 110; k++) await read(k)
  times.length = 0
  await server.fault({ kind: 'stall-before-headers', method: 'GET', every: 50 })
  await server.reset()
  let next = 0
  const reader = async () => {
    while (next < reads) await read(next++)
  }
  await Promise.all([reader(), reader(), reader(), reader()])
  t.equal(wrong, 0, 'every byte is right')
  const p99 = Math.round(times.sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1]!)
  const { requests } = await server.counters()
  return { p99, more: requests - reads, hedges: hedges.counters() }
}

t.test('of 1 in 50 reads that hang the slowest per cent sees nothing, for few requests more', async t => {
  const without = await measure(t, 0)
  const hedged = await measure(t, hedgeShareMax)
  t.comment(
    `p99 ${without.p99} ms without, ${hedged.p99} ms with; ${hedged.more} requests more for ${reads} reads; ${JSON.stringify(hedged.hedges)}`,
  )
  t.ok(without.p99 >= stallMs, `without: ${without.p99} ms`)
  t.ok(hedged.p99 < stallMs / 2, `with: ${hedged.p99} ms`)
  // A second one that hangs as well is tried again.
  const paid = Math.ceil(reads * hedgeShareMax) + hedgeBurstMax
  t.ok(hedged.hedges.sent <= paid, `${hedged.hedges.sent} of ${paid}`)
  t.ok(hedged.more <= paid + hedged.hedges.overBudget + 4, `${hedged.more} requests more`)
  t.ok(hedged.hedges.won >= hedged.hedges.sent / 2, `${hedged.hedges.won} of ${hedged.hedges.sent} were first`)
})
