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
import { awakeClock } from '../fixtures/awake-clock.ts'
import { noHoles } from '../fixtures/extents.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'

const reads = Number(process.env.READS ?? 600)
/** Far more than a read takes on a busy machine. */
const stallMs = 1_500
/** Of so many requests one hangs. */
const hangsEvery = 50
const lengthBytes = 64 * 1024
const sample = { seed: 17, sizeBytes: 16 * 1024 ** 2, dataShare: 1 }
const expected = sampleBytes(sample, 0, sample.sizeBytes)
const { signal } = new AbortController()

/** @returns the time of the slowest per cent, in milliseconds, by both clocks, and the requests beyond one a read */
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
  const clock = awakeClock()
  t.teardown(() => clock.stop())
  // A busy machine makes every read longer, and none shorter: by its own clock each is what it waited for the server.
  const [times, awakeTimes]: [number[], number[]] = [[], []]
  let wrong = 0
  const read = async (k: number) => {
    const offset = (k * lengthBytes) % (sample.sizeBytes - lengthBytes)
    const target = new Uint8Array(lengthBytes)
    const [startMs, startAwakeMs] = [performance.now(), clock.now()]
    await origin.read(image, offset, target, { signal })
    times.push(performance.now() - startMs)
    awakeTimes.push(clock.now() - startAwakeMs)
    if (Buffer.compare(target, expected.subarray(offset, offset + lengthBytes)) !== 0) wrong++
  }
  const readAll = async (count: number) => {
    let next = 0
    const reader = async () => {
      while (next < count) await read(next++)
    }
    await Promise.all([reader(), reader(), reader(), reader()])
  }
  // The usual latency of so many at once is known.
  await readAll(110)
  times.length = awakeTimes.length = 0
  await server.fault({ kind: 'stall-before-headers', method: 'GET', every: hangsEvery })
  await server.reset()
  await readAll(reads)
  t.equal(wrong, 0, 'every byte is right')
  const [p99, awakeP99] = [times, awakeTimes].map(all =>
    Math.round(all.sort((a, b) => a - b)[Math.ceil(all.length * 0.99) - 1]!),
  ) as [number, number]
  const { requests } = await server.counters()
  return { p99, awakeP99, more: requests - reads, hung: Math.ceil(requests / hangsEvery), hedges: hedges.counters() }
}

t.test('of 1 in 50 reads that hang the slowest per cent sees nothing, for few requests more', async t => {
  const without = await measure(t, 0)
  const hedged = await measure(t, hedgeShareMax)
  t.comment(
    `p99 ${without.p99} ms without, ${hedged.awakeP99} ms with; ${hedged.more} requests more for ${reads} reads; ${JSON.stringify(hedged.hedges)}`,
  )
  t.ok(without.p99 >= stallMs, `without: ${without.p99} ms`)
  t.ok(hedged.awakeP99 < stallMs / 2, `with: ${hedged.awakeP99} ms`)
  // A second one that hangs as well is tried again.
  const paid = Math.ceil(reads * hedgeShareMax) + hedgeBurstMax
  t.ok(hedged.hedges.sent <= paid, `${hedged.hedges.sent} of ${paid}`)
  t.ok(hedged.more <= paid + hedged.hedges.overBudget + 4, `${hedged.more} requests more`)
  // Of requests that only this machine held up the first one may win.
  const { won, overBudget } = hedged.hedges
  t.ok(won + overBudget >= hedged.hung / 2, `${won} were first, ${hedged.hung} hung`)
})
