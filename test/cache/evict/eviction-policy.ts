import t from 'tap'
import { LruPolicy } from '../../../src/cache/evict/eviction-policy.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'
import { turnsOf } from '../../fixtures/turns-of.ts'

t.test('the coldest go, in order, and no more than needed', async t => {
  const objects = [5, 3, 9, 1, 7].map(lastUse => ({ lastUse, bytes: 10 }))
  const policy = new LruPolicy()
  t.same(
    (await policy.choose(() => objects, 25)).map(({ lastUse }) => lastUse),
    [1, 3, 5],
  )
  t.same(
    (await policy.choose(() => objects, 10)).map(({ lastUse }) => lastUse),
    [1],
  )
  t.same(
    (await policy.choose(() => objects, 1000)).map(({ lastUse }) => lastUse),
    [1, 3, 5, 7, 9],
  )
  t.same(await policy.choose(() => [], 10), [])
})

t.test(`it agrees with a sort of everything, whatever the spread of the last uses (SEED=${seed})`, async t => {
  const random = seeded(seed)
  const policy = new LruPolicy()
  for (const spread of [1, 10, 5000, 2 ** 20, 2 ** 32]) {
    const objects = Array.from({ length: 20_000 }, () => ({
      lastUse: between(random, 0, spread),
      bytes: between(random, 0, 64) * 4096,
    }))
    const wanted = between(random, 1, 20_000) * 4096
    const sorted = objects.toSorted((a, b) => a.lastUse - b.lastUse)
    const chosen = await policy.choose(() => objects, wanted)
    t.ok(chosen.reduce((sum, { bytes }) => sum + bytes, 0) >= wanted)
    t.ok(chosen.slice(0, -1).reduce((sum, { bytes }) => sum + bytes, 0) < wanted, 'the last one was needed')
    t.same(
      chosen.map(({ lastUse }) => lastUse),
      sorted.slice(0, chosen.length).map(({ lastUse }) => lastUse),
    )
  }
})

t.test('a choice among a million leaves others their turn', async t => {
  const objects = Array.from({ length: 2 ** 20 }, (_, k) => ({ lastUse: Math.imul(k, 0x9e3779b1) >>> 0, bytes: 4096 }))
  const {
    result: chosen,
    tookMs,
    longestMs,
  } = await turnsOf(() => new LruPolicy().choose(() => objects, 52_428 * 4096))
  t.equal(chosen.length, 52_428)
  t.ok(longestMs < 0.75 * tookMs, `${longestMs.toFixed(0)} of ${tookMs.toFixed(0)} ms in one turn`)
})
