/** Block maps for pages: one walk for many, pauses by its cost, and a bound on those that wait. */
import t from 'tap'
import { CacheError } from '../../src/base/errors.ts'
import type { BlockMap } from '../../src/cache/operations/block-map.ts'
import { BlockMaps } from '../../src/web/block-maps.ts'
import { webMapFreshMs, webMapsMax, webMapWalksMax } from '../../src/web/limits.ts'

t.test('pages that ask for the same share a walk, which is repeated when it has cost little for a while', async t => {
  let [nowMs, walks, costMs] = [0, 0, 50]
  const maps = new BlockMaps(
    async () => {
      walks++
      nowMs += costMs
      return { runs: [] } as unknown as BlockMap
    },
    () => nowMs,
  )
  const all = await Promise.all(Array.from({ length: 20 }, () => maps.get('a', 0, 1)))
  t.equal(walks, 1)
  t.equal(all[0]!.refreshMs, 5000, 'a hundred times what it took')
  nowMs += 4999
  await maps.get('a', 0, 1)
  t.equal(walks, 1)
  nowMs += 1
  costMs = 0
  t.equal((await maps.get('a', 0, 1)).refreshMs, webMapFreshMs)
  t.equal(walks, 2)
  await maps.get('a', 0, 2)
  t.equal(walks, 3, 'another range is another map')
})

t.test('a walk that failed is not kept, and one more than may wait is refused', async t => {
  let fails = true
  const maps = new BlockMaps(async name => {
    if (name === 'endless') return new Promise(() => {})
    if (fails) throw new CacheError('not-found', 'no')
    return { runs: [] } as unknown as BlockMap
  })
  await t.rejects(maps.get('a', 0, 1), { code: 'not-found' })
  fails = false
  await maps.get('a', 0, 1)
  for (let k = 0; k < webMapWalksMax + webMapsMax; k++) void maps.get('endless', k, k + 1)
  t.throws(() => maps.get('endless', 1000, 1001), { code: 'overloaded' })
  maps.close()
})
