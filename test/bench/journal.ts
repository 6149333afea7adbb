import { appendFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Done, Journal } from '../../bench/compare/journal.ts'

const done = (step: string): Done => ({ step, seconds: 2, samples: [], failures: [] })

t.test('a run goes on after the steps that an interrupted one finished, twice too', async t => {
  const path = join(t.testdir(), 'journal')
  const first = new Journal(path, { image: 1 })
  first.add(done('a'))
  first.add(done('b'))
  appendFileSync(path, '{"step":"half')
  const second = new Journal(path, { image: 1 })
  t.equal(second.size, 2)
  t.same(second.get('b'), done('b'))
  t.notOk(second.has('half'))
  second.add(done('c'))
  const third = new Journal(path, { image: 1 })
  t.same(
    third.all.map(({ step }) => step),
    ['a', 'b', 'c'],
  )
  third.end()
  t.notOk(existsSync(path))
})

t.test('what was measured of another kind is dropped', async t => {
  const path = join(t.testdir(), 'journal')
  new Journal(path, { image: 1 }).add(done('a'))
  t.equal(new Journal(path, { image: 2 }).size, 0)
  t.equal(new Journal(path, { image: 1 }).size, 0)
})
