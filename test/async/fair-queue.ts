import t from 'tap'
import { FairQueue } from '../../src/async/fair-queue.ts'

function all<T>(turns: FairQueue<T>): T[] {
  const taken: T[] = []
  for (let item = turns.take(); item !== undefined; item = turns.take()) taken.push(item)
  return taken
}

t.test('owners take turns, each in order of arrival', async t => {
  const turns = new FairQueue<string>()
  for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) turns.add(item.charCodeAt(0), item)
  t.equal(turns.size, 6)
  t.equal(turns.next, 'a1')
  t.same(all(turns), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
  t.equal(turns.size, 0)
  t.equal(turns.next, undefined)
})

t.test('who comes later to a round is behind one of each, not behind all', async t => {
  const turns = new FairQueue<string>()
  for (let k = 0; k < 1000; k++) turns.add(1, `a${k}`)
  turns.take()
  turns.add(2, 'b')
  t.same([turns.take(), turns.take()], ['a1', 'b'])
})

t.test('who leaves gives up its place alone, once', async t => {
  const turns = new FairQueue<string>()
  turns.add(1, 'a')
  turns.add(2, 'b')
  turns.leave(1, 'a')
  turns.leave(1, 'a')
  turns.leave(2, 'x')
  turns.leave(3, 'c')
  t.equal(turns.size, 1)
  t.same(all(turns), ['b'])
})
