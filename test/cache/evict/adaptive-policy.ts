import t from 'tap'
import { AdaptivePolicy } from '../../../src/cache/evict/adaptive-policy.ts'
import { LruPolicy } from '../../../src/cache/evict/eviction-policy.ts'
import { between, seeded } from '../../fixtures/seeded.ts'
import { turnsOf } from '../../fixtures/turns-of.ts'

interface Unit {
  readonly stored: object
  readonly object: number
  readonly lastUse: number
  readonly bytes: number
}

/** A cache of units of one byte, of two images, that evicts a twentieth when it is full. */
class Units {
  readonly held = new Map<number, Unit>()
  hits = 0
  readonly #images = [{}, {}]
  readonly #policy: AdaptivePolicy<Unit> | LruPolicy<Unit>
  readonly #capacity: number
  #now = 0

  constructor(policy: AdaptivePolicy<Unit> | LruPolicy<Unit>, capacity: number) {
    this.#policy = policy
    this.#capacity = capacity
  }

  async ask(unit: number): Promise<void> {
    const known = this.held.get(unit)
    if (known) this.hits++
    else if (this.held.size >= this.#capacity) await this.evict(Math.ceil(this.#capacity / 20))
    const stored = this.#images[unit % 2]!
    this.held.set(unit, { stored, object: unit >> 1, lastUse: ++this.#now, bytes: 1 })
  }

  async evict(bytes: number): Promise<readonly Unit[]> {
    const chosen = await this.#policy.choose(() => this.held.values(), bytes)
    for (const { stored, object } of chosen) this.held.delete(object * 2 + this.#images.indexOf(stored as object))
    return chosen
  }
}

t.test('one pass over much that is never used again leaves what is used again and again', async t => {
  const [adaptive, lru] = [new Units(new AdaptivePolicy(), 1000), new Units(new LruPolicy(), 1000)]
  let scanned = 10_000
  for (const cache of [adaptive, lru]) {
    const random = seeded(3)
    for (let k = 0; k < 60_000; k++) await cache.ask(k % 3 === 0 ? between(random, 0, 800) : scanned++)
  }
  t.ok(adaptive.hits > 2 * lru.hits, `${adaptive.hits} hits, ${lru.hits} by recency alone`)
  t.ok(adaptive.hits > 0.8 * 20_000)
})

t.test('what is used again and again keeps nine tenths, though many go at once', async t => {
  const cache = new Units(new AdaptivePolicy(), 1000)
  const random = seeded(5)
  let [scanned, asked] = [10_000, 0]
  for (let k = 0; k < 200_000; k++) {
    if (k === 100_000) [cache.hits, asked] = [0, 0]
    const isHot = k % 2 === 0
    if (isHot) asked++
    await cache.ask(isHot ? between(random, 0, 890) : scanned++)
  }
  t.ok(cache.hits > 0.99 * asked, `${cache.hits} hits of ${asked}`)
})

t.test('where recency serves better it is followed', async t => {
  const [adaptive, lru] = [new Units(new AdaptivePolicy(), 500), new Units(new LruPolicy(), 500)]
  for (const cache of [adaptive, lru]) {
    // Each unit twice, the second time when 200 others came: a short queue of new ones has forgotten it then, and it is
    // not asked for again.
    for (let k = 0; k < 60_000; k++) {
      await cache.ask(k)
      if (k >= 200) await cache.ask(k - 200)
    }
  }
  t.ok(lru.hits > 50_000)
  t.ok(adaptive.hits > 0.9 * lru.hits, `${adaptive.hits} hits, ${lru.hits} by recency alone`)
})

t.test('it names what is there, once, until enough is freed, whatever came and went behind its back', async t => {
  const random = seeded(4)
  const cache = new Units(new AdaptivePolicy(), 300)
  for (let k = 0; k < 300; k++) {
    for (let asks = between(random, 1, 60); asks > 0; asks--) await cache.ask(between(random, 0, 900))
    for (const unit of [...cache.held.keys()]) if (random() < 0.02) cache.held.delete(unit)
    const [before, wanted] = [new Set(cache.held.values()), between(random, 1, 40)]
    const chosen = await cache.evict(wanted)
    t.equal(new Set(chosen).size, Math.min(wanted, before.size))
    t.ok(chosen.every(each => before.has(each)))
  }
  const left = cache.held.size
  t.equal((await cache.evict(10_000)).length, left, 'all there are')
  t.same(await cache.evict(1), [])
})

t.test('a choice among a quarter of a million leaves others their turn', async t => {
  const policy = new AdaptivePolicy<Unit>()
  const stored = {}
  const objects = Array.from({ length: 2 ** 18 }, (_, object) => {
    return { stored, object, lastUse: Math.imul(object, 0x9e3779b1) >>> 0, bytes: 1 }
  })
  const { result: chosen, tookMs, longestMs } = await turnsOf(() => policy.choose(() => objects, 13_107))
  t.equal(chosen.length, 13_107)
  t.same(
    chosen.map(({ lastUse }) => lastUse),
    objects
      .map(({ lastUse }) => lastUse)
      .toSorted((a, b) => a - b)
      .slice(0, 13_107),
    'what was not seen before goes by recency',
  )
  t.ok(longestMs < 0.12 * tookMs, `${longestMs.toFixed(0)} of ${tookMs.toFixed(0)} ms in one turn`)
})
