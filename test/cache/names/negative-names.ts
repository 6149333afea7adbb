import t from 'tap'
import { absentMsMax, absentNamesMax } from '../../../src/cache/names/limits.ts'
import { NegativeNames } from '../../../src/cache/names/negative-names.ts'
import { ConcurrencyLimitOrigin } from '../../../src/origin/wrappers/concurrency-limit.ts'
import { FairShareOrigin } from '../../../src/origin/wrappers/fair-share.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'

t.test('a name is absent for as long as was said; of more than the limit the oldest is forgotten', t => {
  let nowMs = 0
  const absent = new NegativeNames(() => nowMs, 3)
  for (const name of ['a', 'b', 'c']) absent.add(name, 100)
  nowMs = 40
  absent.add('a', 100)
  absent.add('d', 100)
  t.equal(absent.size, 3)
  t.same(
    ['a', 'b', 'c', 'd'].map(name => absent.msLeft(name)),
    [100, 0, 60, 100],
  )
  absent.delete('d')
  absent.add('a', 0)
  nowMs = 100
  t.same(
    ['a', 'c', 'd'].map(name => absent.msLeft(name)),
    [0, 0, 0],
  )
  t.equal(absent.size, 0)
  t.ok(absentNamesMax > 3)
  t.end()
})

t.test('an absent name is asked for once a second, and an image that comes is seen then', async t => {
  const origin = new MemoryOrigin()
  const clock = { nowMs: 0 }
  const { cache, close } = await openRooms({ directory: t.testdir(), origin, now: () => clock.nowMs })
  const missing = () => t.rejects(cache.lookup(null, 'a', { signal }), { code: 'not-found' })
  await Promise.all([missing(), missing()])
  t.equal(cache.absentMs(null, 'a'), absentMsMax)
  origin.put('a', 100)
  clock.nowMs += absentMsMax - 1
  await missing()
  t.same(origin.requests, ['lookup a'])
  t.equal(cache.absentMs(null, 'a'), 1)
  clock.nowMs += 1
  t.match(await cache.lookup(null, 'a', { signal }), { image: { key: 'a' } })
  t.equal(cache.absentMs(null, 'a'), 0)
  await close()
})

t.test('where names are asked for each time, absent ones are, too; what fails is not absent', async t => {
  const origin = new MemoryOrigin()
  const { cache, close } = await openRooms({ directory: t.testdir(), origin, revalidateSeconds: 0 })
  for (let k = 0; k < 2; k++) await t.rejects(cache.lookup(null, 'a', { signal }), { code: 'not-found' })
  t.equal(origin.requests.length, 2)
  t.equal(cache.absentMs(null, 'a'), 0)
  await close()
})

t.test('names take turns by process: a crowd of one keeps another waiting for one', async t => {
  const origin = new MemoryOrigin()
  origin.put('image', 100)
  const fair = new FairShareOrigin(origin, 4, new ConcurrencyLimitOrigin(origin, 1))
  const { cache, close } = await openRooms({ directory: t.testdir(), origin: fair })
  const crowd = Array.from({ length: 1000 }, (_, k) =>
    cache.lookup(null, `no ${k}`, { signal, opener: 1 }).catch(() => {}),
  )
  t.match(await cache.lookup(null, 'image', { signal, opener: 2 }), { image: { key: 'image' } })
  t.ok(origin.requests.indexOf('lookup image') <= 2, `after ${origin.requests.indexOf('lookup image')} of the crowd`)
  await Promise.all(crowd)
  await close()
})
