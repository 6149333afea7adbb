/** The explanation of a read before it happens. */
import t from 'tap'
import { explainBytesMax } from '../../../src/cache/operations/limits.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024

t.test('an explanation says of each block where it is, and who would answer', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 300 * KiB + 5, 1, [[8 * KiB, 16 * KiB]])
  const directory = t.testdir()
  let rooms = await openRooms({ directory, origin })
  const explain = (offset: number, length: number) => rooms.cache.operations.explain('a', offset, length)
  t.match(await explain(0, 4096), { answer: { verdict: 'origin' }, promotion: { verdict: 'yes' }, objects: [] })
  const { image, nodeId } = await rooms.cache.lookup(null, 'a', { signal })
  await rooms.cache.read(image, 0, 20 * KiB, { signal })
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotion')
  rooms.clock.advance()
  const mixed = await explain(4096, 300 * KiB)
  t.match(mixed, {
    name: 'a',
    nodeId: nodeId.toString(),
    length: 296 * KiB + 5,
    answer: { verdict: 'origin', why: /missing/ },
    promotion: { verdict: 'yes' },
    health: { state: 'healthy' },
    objects: [
      {
        object: 0,
        generation: 0,
        lastUseSeconds: Number,
        runs: [
          { block: 1, blocks: 1, offset: 4096, length: 4096, state: 'published' },
          { block: 2, blocks: 2, state: 'zero' },
          { block: 4, blocks: 1, state: 'published' },
          { block: 5, blocks: 59, state: 'missing' },
        ],
      },
      { object: 1, lastUseSeconds: null, runs: [{ block: 0, blocks: 12, length: 44 * KiB + 5, state: 'missing' }] },
    ],
  })
  t.match(await explain(0, 100), {
    answer: { verdict: 'store', why: /once it is open/ },
    promotion: { verdict: 'there already' },
  })
  t.match(await explain(4096, 1), {
    length: 1,
    answer: { verdict: 'store' },
    objects: [{ object: 0, runs: [{ block: 1, blocks: 1, state: 'published' }] }],
  })
  t.match(await explain(300 * KiB + 5, 100), { length: 0, answer: { verdict: 'nobody' } })
  let release: () => void = () => {}
  origin.gate = () => new Promise(resolve => (release = resolve))
  const read = rooms.cache.read(image, 100 * KiB, 10, { signal })
  await until(() => origin.reads === 2, patienceMs, 'the fetch')
  t.match(await explain(100 * KiB, 10), {
    answer: { verdict: 'origin', why: /in flight/ },
    objects: [{ runs: [{ state: 'in flight' }] }],
  })
  release()
  await read
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotion')
  await rooms.close()
  rooms = await openRooms({ directory, origin })
  t.match(await explain(0, 10), {
    answer: { verdict: 'store after verification' },
    objects: [{ runs: [{ state: 'held' }] }],
  })
  for (let k = 0; k < 3; k++) rooms.store.health.readFailed(new Error('EIO'))
  t.match(await explain(0, 10), { answer: { verdict: 'origin', why: /bypassed/ } })
  t.match(await explain(200 * KiB, 10), { promotion: { verdict: 'no', why: /bypass/ } })
  await t.rejects(explain(0, explainBytesMax + 1), { code: 'invalid-argument' })
  await t.rejects(explain(0, 0), { code: 'invalid-argument' })
  await explain(0, explainBytesMax)
  await rooms.close()
})
