/** The orders in which objects are evicted: exact LRU, and S3-FIFO. */
import t from 'tap'
import { type EvictionQueue, LruList, S3FifoQueues } from '../../../src/cache/evict/eviction-queues.ts'

function filled<Q extends EvictionQueue>(queue: Q, ids: readonly number[]): Q {
  for (const id of ids) queue.add(id)
  return queue
}

/** All that go, in their order. */
function drained(queue: EvictionQueue): number[] {
  const taken: number[] = []
  for (let id = queue.takeNext(); id !== null; id = queue.takeNext()) taken.push(id)
  return taken
}

/** S3-FIFO with so many that are proven, and have no uses left. */
function proven(count: number): S3FifoQueues {
  const queues = filled(new S3FifoQueues(), upTo(count))
  for (const id of upTo(count)) queues.use(id)
  for (const _ of upTo(count)) queues.consider(Number.MAX_SAFE_INTEGER) // New ones are looked at first.
  return queues
}

const upTo = (count: number, first = 0) => Array.from({ length: count }, (_, k) => first + k)

t.test('LRU: the least recently used goes first; what has gone for another reason does not', async t => {
  const list = filled(new LruList(), [1, 2, 3, 4])
  list.use(2)
  list.remove(3)
  t.same([list.size, list.has(2), list.has(3)], [3, true, false])
  t.same(drained(list), [1, 4, 2])
  t.equal(list.size, 0)
})

t.test('S3-FIFO: what is new goes first, unless it was used again', async t => {
  const queues = filled(new S3FifoQueues(), [1, 2, 3, 4])
  queues.use(1)
  queues.use(3)
  t.equal(queues.takeNext(), 2)
  t.equal(queues.takeNext(), 4)
  t.same([queues.size, queues.has(1), queues.has(2)], [2, true, false])
  t.same([...queues.ids()], [1, 3])
})

t.test('S3-FIFO: one look at one of them takes it out, or lets it stay for another round', async t => {
  const queues = filled(new S3FifoQueues(), [1, 2])
  queues.use(1)
  t.equal(queues.consider(0), null, '1 is proven now')
  t.equal(queues.consider(0), 2)
  t.equal(queues.consider(0), 1)
  t.equal(queues.size, 0)
  t.equal(queues.takeNext(), null)
})

t.test('S3-FIFO: what is proven stays a round longer for each use, three at most', async t => {
  const queues = filled(new S3FifoQueues(), [1, 2])
  for (const id of [1, 2, 2, 2]) queues.use(id)
  for (let k = 0; k < 2; k++) t.equal(queues.consider(0), null, 'both are proven now, and their uses forgotten')
  for (let k = 0; k < 5; k++) queues.use(1)
  const looks: (number | null)[] = []
  while (queues.size > 0) looks.push(queues.consider(0))
  t.same(looks, [null, 2, null, null, 1])
})

t.test('S3-FIFO: what comes back soon after it went is proven; later it is as new', async t => {
  const queues = filled(proven(20), upTo(40, 100)) // Each of those is new.
  for (const _ of upTo(30)) queues.takeNext()
  t.same(
    upTo(40, 100).filter(id => queues.has(id)),
    upTo(10, 130),
    'the oldest of the new ones went',
  )
  queues.add(129)
  t.equal([...queues.ids()].at(-1), 129, 'at the end of what is proven')
  queues.add(100)
  t.equal(
    [...queues.ids()].indexOf(100),
    10,
    'it went long ago: as many are remembered as are nine tenths of those here',
  )
})

t.test('S3-FIFO: one pass over much that is never used again leaves nine tenths alone', async t => {
  const queues = proven(100)
  for (const id of upTo(1000, 1000)) {
    queues.add(id)
    queues.takeNext()
  }
  t.equal(queues.size, 100)
  t.equal(upTo(100).filter(id => queues.has(id)).length, 90)
})

t.test('S3-FIFO: places that were made before count for what is new', async t => {
  const queues = proven(20)
  queues.add(100)
  t.equal(queues.consider(0), 0, 'one new of 21 is less than a tenth')
  t.equal(queues.consider(2), 100, 'three of 22 are not')
  const more = proven(92)
  for (const id of upTo(8, 100)) more.add(id)
  t.equal(more.consider(2), 0, 'ten of 102 are less than a tenth')
})

t.test('S3-FIFO: what has gone can be neither used nor removed', async t => {
  const queues = filled(new S3FifoQueues(), [1, 2, 3, 4])
  queues.takeNext()
  queues.use(1)
  queues.remove(1)
  t.notOk(queues.has(1))
  queues.add(1)
  queues.add(5)
  t.same(
    [...queues.ids()],
    [2, 3, 4, 5, 1],
    'it is still known to have been here: 1 is proven, and comes after the new',
  )
  queues.remove(3)
  t.same([...queues.ids()], [2, 4, 5, 1])
})
