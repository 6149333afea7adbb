/** Limits of the cache, as a configuration says them. */
import t from 'tap'
import { configure } from '../../../src/daemon/config/configuration.ts'
import type { ConfigurationDocument } from '../../../src/daemon/config/settings.ts'
import { cacheLimitsOf } from '../../../src/daemon/worker/cache-limits.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'

const MiB = 1024 ** 2
const origins = [{ directory: null, origin: new MemoryOrigin() }]
const root = { uid: 0, gid: 0, home: '/root' }
const of = (document: ConfigurationDocument) => {
  const all = { origin: { url: 'http://host/' }, ...document }
  return cacheLimitsOf(configure({ document: all, mountpoint: '/mnt' }, root), origins)
}

t.test('each limit of the cache has the setting of its name', async t => {
  const cache = {
    ...{ mode: 'proxy', eviction: 'temperature', maxObjects: 7, minEvictAge: '2m', capacity: 512 * MiB },
    ...{ promotionQueue: 33 * MiB, fetchBudget: 65 * MiB, readAhead: 9 * MiB },
    ...{ writeBudget: 800 * MiB, writeBurst: 50 * MiB, scrubRate: 3 * MiB, scrubInterval: '3d' },
  } as unknown as NonNullable<ConfigurationDocument['cache']>
  t.match(of({ cache }), {
    origins,
    mode: 'proxy',
    ...{ evictionPolicy: 'temperature', objectsMax: 7, evictAgeMsMin: 120_000 },
    ...{ promotionBytesMax: 33 * MiB, fetchBytesMax: 65 * MiB, readAheadBytesMax: 9 * MiB },
    writeBudget: { bytesPerDay: 800 * MiB, burstBytes: 50 * MiB },
    scrub: { bytesPerSecond: 3 * MiB, intervalMs: 3 * 86_400_000 },
  })
})

t.test('the burst of a write budget is an eighth of it unless it is said, and never less than that', async t => {
  const burstOf = (writeBudget: number) => of({ cache: { writeBudget } }).writeBudget
  t.same(burstOf(801), { bytesPerDay: 801, burstBytes: 101 })
  t.same(burstOf(0), { bytesPerDay: 0, burstBytes: 0 }, 'no budget')
})

t.test('the share of other hosts comes from the fleet, and origins are those that are open', async t => {
  const limits = of({ fleet: { share: 0.25 } })
  t.equal(limits.foreignShareMax, 0.25)
  t.equal(limits.origins, origins)
  t.equal(of({}).mode, 'promote')
})
