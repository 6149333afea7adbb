/** The periods of hit sets: they pass by the clock of the wall, over restarts too. */
import t from 'tap'
import type { HitSetOptions } from '../../../src/cache/evict/hit-set.ts'
import { HitSetHistory } from '../../../src/cache/evict/hit-set-history.ts'
import { hitSetObjectsMin } from '../../../src/cache/evict/limits.ts'

const id = 'ab'.repeat(16)
const options: HitSetOptions = { type: 'explicit', count: 3, periodMs: 1000, falsePositives: 0.01 }
const open = (nowMs: number, more: Partial<HitSetOptions> = {}) =>
  new HitSetHistory({ ...options, ...more }, () => 10, nowMs)

for (const type of ['bloom', 'explicit'] as const) {
  t.test(
    `${type}: an object is in the sets of the periods in which it was used, and leaves with the last of them`,
    async t => {
      const history = open(0, { type })
      history.add(id, 1)
      t.same([history.has(id, 1, 1), history.temperature(id, 1), history.has(id, 2)], [true, 1, false])
      history.rotate(999)
      t.equal(history.length, 1, 'the period is not over')
      t.ok(history.isOver(1000))
      history.rotate(1000)
      t.same([history.has(id, 1, 1), history.has(id, 1, 2), history.length], [false, true, 2])
      history.add(id, 1)
      t.equal(history.temperature(id, 1), 2)
      history.rotate(2000)
      history.rotate(3000)
      t.same([history.length, history.temperature(id, 1)], [3, 1])
      history.rotate(4000)
      t.notOk(history.has(id, 1))
    },
  )
}

t.test('a pause leaves empty sets; a clock that was set back begins a period', async t => {
  const history = open(0)
  history.add(id, 1)
  history.rotate(2500)
  t.same([history.length, history.has(id, 1, 2), history.has(id, 1, 3)], [3, false, true])
  t.notOk(history.isOver(2900), 'periods keep their beat')
  t.ok(history.isOver(3000))
  history.rotate(1_000_000_000)
  t.same([history.length, history.has(id, 1)], [3, false])
  history.add(id, 2)
  t.ok(history.isOver(5))
  history.rotate(5)
  t.same([history.has(id, 2, 1), history.has(id, 2, 2)], [false, true])
  t.notOk(history.isOver(6))
})

t.test('they are kept as far as they changed, and come back', async t => {
  const history = open(0)
  history.add(id, 1)
  history.rotate(1000)
  history.add(id, 2)
  const first = history.takeChanges()!
  t.same(
    first.changed.map(({ startedMs }) => startedMs),
    [1000, 0],
  )
  t.equal(history.takeChanges(), null, 'nothing has changed')
  history.add(id, 2)
  t.equal(history.takeChanges(), null, 'it was in')
  history.add(id, 3)
  t.same(history.takeChanges(), {
    changed: [{ type: 'explicit', startedMs: 1000, content: contentOf([2, 3]) }],
    startedMs: [1000, 0],
  })
  const again = new HitSetHistory(options, () => 10, 1500, first.changed)
  t.same([again.has(id, 1, 1), again.has(id, 1, 2), again.has(id, 2, 1)], [false, true, true])
  const later = new HitSetHistory(options, () => 10, 2500, first.changed)
  t.same([later.has(id, 2, 1), later.has(id, 2, 2)], [false, true], 'the period is over since')
  const other = new HitSetHistory({ ...options, type: 'bloom' }, () => 10, 1500, first.changed)
  t.notOk(other.has(id, 2), 'another type begins anew')
  history.putBack()
  t.equal(history.takeChanges()?.changed.length, 2)
})

t.test('other settings: fewer sets, another type, none', async t => {
  const history = open(0)
  history.add(id, 1)
  history.rotate(1000)
  history.takeChanges()
  history.change({ ...options, count: 1 }, 1000)
  t.same([history.length, history.has(id, 1)], [1, false])
  t.same(history.takeChanges(), { changed: [], startedMs: [1000] }, 'the index forgets it, too')
  history.add(id, 2)
  history.takeChanges()
  history.add(id, 2)
  history.change({ ...options, count: 1, falsePositives: 0.5 }, 1000)
  t.same([history.length, history.has(id, 2), history.takeChanges()], [1, true, null], 'another promise: of later sets')
  history.change({ ...options, type: 'bloom' }, 1000)
  t.same([history.length, history.has(id, 2)], [1, false])
  history.change({ ...options, type: 'none' }, 1000)
  history.add(id, 2)
  t.same([history.length, history.has(id, 2), history.memoryBytes, history.isOver(99_999)], [0, false, 0, false])
  t.same(history.takeChanges(), { changed: [], startedMs: [] }, 'what was kept goes')
})

t.test('a restart with other settings is as a change of them', async t => {
  const history = open(0, { type: 'bloom' })
  history.add(id, 1)
  history.rotate(1000)
  history.add(id, 2)
  history.rotate(2000)
  const { changed } = history.takeChanges()!
  const restarted = (more: Partial<HitSetOptions>) =>
    new HitSetHistory({ ...options, type: 'bloom', ...more }, () => 10, 2500, changed)
  t.equal(restarted({}).length, 3)
  const fewer = restarted({ count: 2 })
  t.same([fewer.length, fewer.has(id, 1), fewer.has(id, 2)], [2, false, true])
  t.same(fewer.takeChanges(), { changed: [], startedMs: [2000, 1000] }, 'the oldest goes from the index')
  const other = restarted({ falsePositives: 0.5 })
  t.same([other.length, other.has(id, 2)], [3, true], 'sets keep the promise that they began with')
})

t.test('a use beyond the bound of a set is counted', async t => {
  const history = open(0, { type: 'bloom', falsePositives: 0.0001 })
  for (let object = 0; object < 2 * hitSetObjectsMin && history.overflow === 0; object++) history.add(id, object)
  t.equal(history.overflow, 1)
  t.ok(history.memoryBytes > hitSetObjectsMin)
})

function contentOf(objects: readonly number[]): Buffer {
  const history = open(0)
  for (const object of objects) history.add(id, object)
  return history.takeChanges()!.changed[0]!.content
}
