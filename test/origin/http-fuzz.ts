/**
 * Answers spoiled by chance: never a wrong byte, never a wait without an end, never an unhandled error.
 *
 * ANSWERS=n sets their number; SEED=n another sequence.
 */

import t from 'tap'
import type { CancelSignal } from '../../src/base/cancel-signal.ts'
import { errorCodes, isCacheError } from '../../src/base/errors.ts'
import { identify } from '../../src/base/image.ts'
import { loadAddon } from '../../src/native/addon.ts'
import { isImageName } from '../../src/origin/contract/image-name.ts'
import { HttpOrigin } from '../../src/origin/http/http-origin.ts'
import { fuzzedTag, startFuzzingServer } from '../fixtures/fuzzing-server.ts'
import { sampleBytes } from '../fixtures/images.ts'
import { forEachAtOnce } from '../fixtures/mounted-file.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'

const answers = Number(process.env.ANSWERS ?? 3_000)
const stallMs = 1_000
/** Connection, first byte and stall one after the other, for each of three requests of a lookup, on a busy machine. */
const callMsMax = 20_000

const sizeBytes = 200_000
const image = Buffer.from(sampleBytes({ seed: 77, sizeBytes, dataShare: 1 }, 0, sizeBytes))
const listing = Buffer.from(
  JSON.stringify(['a', 'b c', '../x', { name: 'd', size: 5 }, { name: 'e', type: 'directory' }]),
)

t.setTimeout(3_600_000)

const native = loadAddon().createReceiver()
t.teardown(() => native.close())

for (const [by, receiver] of [
  ['by undici', null],
  ['natively', native],
] as const)
  t.test(`spoiled answers that are received ${by} are errors or right`, { timeout: 0 }, async t => {
    t.comment(`SEED=${seed} ANSWERS=${answers}`)
    const random = seeded(seed)
    const server = await startFuzzingServer(image, listing, seeded(seed + 1))
    t.teardown(() => server.close())
    const origin = new HttpOrigin(server.url, {
      connectMsMax: 5_000,
      firstByteMsMax: stallMs,
      stallMsMax: stallMs,
      inPlaceBytesMin: 35_000,
      receiver,
    })
    t.teardown(() => origin.close())
    const known = identify({ origin: origin.url, key: 'a', sizeBytes, validator: fuzzedTag, modifiedMs: 0 })
    const seen = { right: 0, wrong: 0, listed: 0, found: 0, slowestMs: 0, strange: [] as string[] }
    const codes = new Map<string, number>()
    let unhandled = 0
    const onUnhandled = () => unhandled++
    process.on('unhandledRejection', onUnhandled)
    t.teardown(() => void process.off('unhandledRejection', onUnhandled))

    const read = async (signal: CancelSignal) => {
      const offset = between(random, 0, sizeBytes)
      const target = new Uint8Array(between(random, 1, Math.min(sizeBytes - offset, 70_000) + 1))
      await origin.read(known, offset, target, { signal })
      if (image.subarray(offset, offset + target.length).equals(target)) seen.right++
      else seen.wrong++
    }
    const look = async (signal: CancelSignal) => {
      const facts = await origin.lookup('a', { signal })
      seen.found++
      const isSane = Number.isSafeInteger(facts.sizeBytes) && facts.sizeBytes >= 0 && facts.validator !== ''
      if (!isSane) seen.strange.push(JSON.stringify(facts))
    }
    const list = async (signal: CancelSignal) => {
      seen.listed++
      const names = (await origin.list({ signal })) ?? []
      if (!names.every(isImageName)) seen.strange.push(JSON.stringify(names))
    }
    await forEachAtOnce(Array.from({ length: answers }), 32, async () => {
      const startMs = performance.now()
      const chance = random()
      const call = chance < 0.6 ? read : chance < 0.85 ? look : list
      try {
        await call(new AbortController().signal)
      } catch (error) {
        if (isCacheError(error) && error.code in errorCodes) codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
        else seen.strange.push(String((error as Error).stack))
      }
      seen.slowestMs = Math.max(seen.slowestMs, performance.now() - startMs)
    })
    t.equal(seen.wrong, 0, 'no wrong byte')
    t.same(seen.strange, [], 'nothing that is no answer and no error of ours')
    t.equal(unhandled, 0, 'no error that nobody sees')
    t.ok(seen.slowestMs < callMsMax, `the slowest took ${Math.round(seen.slowestMs)} ms`)
    // The test itself is awake: it sees right reads and errors of every kind that it provokes.
    t.ok(seen.right > answers / 20 && seen.found > answers / 50, `${seen.right} right reads, ${seen.found} found`)
    for (const code of ['origin-protocol', 'origin-failed', 'origin-unsupported', 'image-changed', 'origin-timeout']) {
      t.ok((codes.get(code) ?? 0) > 0, `${code}: ${codes.get(code)}`)
    }
    t.comment(
      JSON.stringify({ ...seen, answers: Object.fromEntries(server.answers), codes: Object.fromEntries(codes) }),
    )
  })
