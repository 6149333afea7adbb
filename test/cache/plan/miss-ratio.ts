/** Simulated caches: exact where all is sampled, and near where a part is, for each policy. */
import t from 'tap'
import { OwnPolicy, type Unit } from '../../../bench/policies/own.ts'
import { Lru } from '../../../bench/policies/references.ts'
import { AdaptivePolicy } from '../../../src/cache/evict/adaptive-policy.ts'
import { evictionPolicies } from '../../../src/cache/evict/eviction-policy.ts'
import { simulate } from '../../../src/cache/plan/miss-ratio.ts'
import { UseLog, type UseSample } from '../../../src/cache/plan/use-log.ts'
import { seed, seeded } from '../../fixtures/seeded.ts'

const lowShare = 0.9 / 0.95
const blockBytes = 1

/** Some objects much more often than others, and a loop over many now and then. */
function references(count: number, objects: number): Uint32Array {
  const random = seeded(seed)
  return Uint32Array.from({ length: count }, (_, k) =>
    k % 4 === 0 ? (k / 4) % objects : Math.floor(objects * random() ** 2),
  )
}

function sampled(all: Uint32Array, objectsMax: number): UseSample {
  const log = new UseLog(0, objectsMax)
  for (const [k, object] of all.entries()) log.add({ file: 1, object, low: 1, high: 0, reads: 1 }, k + 1)
  return log.sample(all.length)
}

t.test(`a sample of a tenth is near the exact curve, for LRU and for the adaptive policy (SEED=${seed})`, async t => {
  const all = references(200_000, 40_000)
  const sample = sampled(all, 12_000)
  t.ok(sample.rate < 0.4, `${sample.rate}`)
  for (const share of [0.05, 0.2, 0.5]) {
    const capacityBytes = share * 40_000
    const lru = new Lru(capacityBytes, 40_000)
    const misses = all.reduce((sum, object) => sum + Number(!lru.ask(object)), 0)
    const near = await simulate(sample, { capacityBytes, blockBytes, lowShare, policy: 'exact-lru' })
    const off = Math.abs(near.missRatio - misses / all.length)
    t.ok(off < 0.02, `LRU at ${share}: ${near.missRatio}, exact ${misses / all.length}`)
    const own = new OwnPolicy(new AdaptivePolicy<Unit>(), capacityBytes)
    const ratio = 1 - (await own.hits(all)) / all.length
    const adaptive = await simulate(sample, { capacityBytes, blockBytes, lowShare, policy: 'adaptive' })
    t.ok(Math.abs(adaptive.missRatio - ratio) < 0.03, `adaptive at ${share}: ${adaptive.missRatio}, exact ${ratio}`)
  }
})

t.test('where the misses of each object are a share of its reads, any sample gives that share', async t => {
  const log = new UseLog(0, 400)
  let reads = 0
  // Some objects are read a hundred times as often as others, so that the sampled reads are no fair share.
  for (let object = 0; object < 4000; object++) {
    const blocks = object % 97 === 0 ? 32 : 1
    for (let block = 0; block < blocks; block++) {
      for (const _ of [1, 2]) log.add({ file: 1, object, low: (1 << block) >>> 0, high: 0, reads: 1 }, ++reads)
    }
  }
  const sample = log.sample(reads)
  const share = sample.files.length / sample.rate / reads
  t.ok(sample.rate < 0.2 && Math.abs(share - 1) > 0.01, `${share} of the reads are in it`)
  const cache = { capacityBytes: 10_000, blockBytes, lowShare, policy: 'exact-lru' } as const
  const { missRatio, originBytes } = await simulate(sample, cache)
  t.ok(Math.abs(missRatio - 0.5) < 1e-9, `${missRatio}`)
  t.ok(Math.abs(originBytes - reads / 2) < 1e-6, `${originBytes}`)
})

t.test('where everything is sampled it is exact', async t => {
  const all = references(20_000, 2000)
  const lru = new Lru(300, 2000)
  const misses = all.reduce((sum, object) => sum + Number(!lru.ask(object)), 0)
  const cache = { capacityBytes: 300, blockBytes, lowShare, policy: 'exact-lru' } as const
  const simulated = await simulate(sampled(all, 5000), cache)
  t.match(simulated, { reads: 20_000, misses, originBytes: misses, originRequests: misses })
})

t.test('bytes and requests are those of the blocks that are missing', async t => {
  const log = new UseLog(0)
  const file = 1
  log.add({ file, object: 1, low: 0b1011, high: 0, reads: 1 }, 1) // Three blocks in two runs.
  log.add({ file, object: 1, low: 0b1111, high: 1, reads: 1 }, 2) // Two more, not side by side.
  log.add({ file, object: 2, low: 0x8000_0000, high: 1, reads: 9 }, 11) // A run over both halves.
  log.add({ file, object: 1, low: 1, high: 0, reads: 5 }, 16)
  const cache = { blockBytes: 4096, lowShare, policy: 'exact-lru' } as const
  const large = await simulate(log.sample(16), { ...cache, capacityBytes: 2 ** 20 })
  t.match(large, { misses: 4, originBytes: 7 * 4096, originRequests: 5 })
  const small = await simulate(log.sample(16), { ...cache, capacityBytes: 5 * 4096 })
  t.match(small, { misses: 5, originBytes: 8 * 4096, originRequests: 6 })
  for (const policy of evictionPolicies) {
    t.match(await simulate(log.sample(16), { ...cache, capacityBytes: 2 ** 20, policy }), large, policy)
  }
})

t.test('of nothing there is nothing', async t => {
  const cache = { capacityBytes: 300, blockBytes, lowShare, policy: 'exact-lru' } as const
  t.match(await simulate(new UseLog(0).sample(0), cache), { reads: 0, misses: 0, missRatio: 0, originBytes: 0 })
})
