/** Shrinking to a capacity that was lowered: evicts until it fits, for as long as that may take. */
import t from 'tap'
import type { Evictor } from '../../../src/cache/evict/evictor.ts'
import { fitMsMax } from '../../../src/cache/evict/limits.ts'
import { shrinkToCapacity } from '../../../src/cache/evict/shrink-to-capacity.ts'
import type { Store } from '../../../src/store/store.ts'

/** A store over its capacity; each pass of the evictor frees some of it. */
function shrinking(usedBytes: number, freedBytes: number) {
  const log: string[] = []
  const capacity = { usedBytes, capacityBytes: 100 }
  const store = { capacity, flush: async () => void log.push('flush') } as unknown as Store
  const checkNow = async () => {
    log.push('evict')
    capacity.usedBytes -= freedBytes
  }
  return { log, capacity, store, evictor: { checkNow } as unknown as Evictor }
}

t.test(
  'what is reserved and not needed is given back before anything is evicted, and it is looked at again',
  async t => {
    const { log, capacity, store, evictor } = shrinking(130, 20)
    await shrinkToCapacity(store, evictor, () => 0)
    t.same(log, ['flush', 'evict', 'flush', 'evict'])
    t.ok(capacity.usedBytes <= capacity.capacityBytes)
  },
)

t.test('it gives up when nothing helps for as long as it may take', async t => {
  const { log, store, evictor } = shrinking(130, 0)
  let nowMs = 0
  await shrinkToCapacity(store, evictor, () => {
    nowMs += fitMsMax / 8
    return nowMs
  })
  t.ok(log.length > 4, `${log.length} steps`)
})

t.test('nor does it wait for an eviction that hangs', async t => {
  const alive = setInterval(() => {}, 1000) // Its own timer does not keep a process.
  t.teardown(() => clearInterval(alive))
  const { store } = shrinking(130, 0)
  const evictor = { checkNow: () => new Promise(() => {}) } as unknown as Evictor
  const times = [0, fitMsMax]
  await t.resolves(shrinkToCapacity(store, evictor, () => times.shift() ?? fitMsMax))
})
