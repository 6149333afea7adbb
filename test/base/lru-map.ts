/** A map of which the least recently used entries leave. */
import t from 'tap'
import { LruMap } from '../../src/base/lru-map.ts'

t.test('the least recently used entry leaves when one more comes than may be here', t => {
  const left: [string, number][] = []
  const map = new LruMap<string, number>(2, { onLeave: (value, key) => void left.push([key, value]) })
  map.set('a', 1)
  map.set('b', 2)
  t.same([map.size, left], [2, []])
  t.equal(map.get('a'), 1, 'a look is no use')
  map.set('c', 3)
  t.same([[...map.keys()], left], [['b', 'c'], [['a', 1]]])
  t.equal(map.use('b'), 2)
  t.equal(map.use('a'), undefined)
  map.set('d', 4)
  t.same([...map.keys()], ['b', 'd'])
  map.set('b', 5)
  map.set('e', 6)
  t.same([...map.values()], [5, 6], 'to be set again is a use')
  t.same(left, [
    ['a', 1],
    ['c', 3],
    ['d', 4],
  ])
  t.end()
})

t.test('what is deleted leaves room, and does not hear of it', t => {
  const left: string[] = []
  const map = new LruMap<string, number>(2, { onLeave: (_, key) => void left.push(key) })
  for (const key of ['a', 'b']) map.set(key, 0)
  t.equal(map.delete('a'), true)
  t.equal(map.delete('a'), false)
  t.same([map.has('a'), map.has('b'), map.size], [false, true, 1])
  map.set('c', 0)
  t.same([left, map.size], [[], 2])
  t.end()
})

t.test('entries that have to stay do so, and leave once they may', t => {
  const busy = new Set(['a', 'b'])
  const map = new LruMap<string, number>(2, { mayLeave: (_, key) => !busy.has(key) })
  for (const key of ['a', 'b', 'c']) map.set(key, 0)
  t.same([...map.keys()], ['a', 'b', 'c'], 'over the bound, and the newest stays in any case')
  busy.delete('a')
  map.set('d', 0)
  t.same([...map.keys()], ['b', 'd'])
  t.end()
})

t.test('entries weigh what is said of them, and one over the bound is here alone', t => {
  const map = new LruMap<string, string | null>(10, { weightOf: value => value?.length ?? 0 })
  map.set('a', 'four')
  map.set('none', null)
  map.set('b', 'sixsix')
  t.same([map.size, map.weight], [3, 10])
  map.set('c', 'x')
  t.same([[...map.keys()], map.weight], [['none', 'b', 'c'], 7])
  map.set('b', 'now longer than ten')
  t.same([[...map.keys()], map.weight], [['b'], 19])
  map.set('b', '')
  t.equal(map.weight, 0)
  t.equal(map.use('b'), '')
  t.end()
})
