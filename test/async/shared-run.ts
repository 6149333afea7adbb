/** Work of which one run at most is under way. */
import t from 'tap'
import { SharedRun } from '../../src/async/shared-run.ts'

/** Runs that end when the test says so. */
function setUp() {
  const ends: ((value: number | Error) => void)[] = []
  const work = () =>
    new Promise<number>((resolve, reject) => {
      ends.push(value => (value instanceof Error ? reject(value) : resolve(value)))
    })
  const runs = new SharedRun<number>()
  return { ends, runs, run: () => runs.run(work) }
}

t.test('callers who come while one runs join it, and the next one begins another', async t => {
  const { ends, runs, run } = setUp()
  t.equal(runs.current, null)
  const joined = [run(), run()]
  t.equal(ends.length, 1)
  t.equal(runs.current, joined[0])
  ends[0]!(7)
  t.same(await Promise.all(joined), [7, 7])
  t.equal(runs.current, null)
  const next = run()
  t.equal(ends.length, 2)
  ends[1]!(8)
  t.equal(await next, 8)
})

t.test('a failure reaches all who joined, and is not kept', async t => {
  const { ends, runs, run } = setUp()
  const joined = [run(), run()]
  ends[0]!(new Error('no'))
  for (const each of joined) await t.rejects(each, { message: 'no' })
  t.equal(runs.current, null)
  const thrown = runs.run(() => {
    throw new Error('at once')
  })
  await t.rejects(thrown, { message: 'at once' })
  const next = run()
  ends[1]!(9)
  t.equal(await next, 9)
})
