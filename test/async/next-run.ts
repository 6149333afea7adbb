/** Checks that begin after the call for them, one at a time. */
import t from 'tap'
import { NextRun } from '../../src/async/next-run.ts'
import { type Deferred, deferred, nextIteration } from '../fixtures/deferred.ts'

function checking() {
  const begun: Deferred<void>[] = []
  const check = new NextRun(() => {
    begun.push(deferred())
    return begun.at(-1)!.promise
  })
  return { begun, check }
}

t.test('calls during a check wait for one that begins after it, all of them together', async t => {
  const { begun, check } = checking()
  const first = check.run()
  const later = [check.run(), check.run()]
  t.equal(begun.length, 1)
  begun[0]!.resolve()
  await first
  await nextIteration()
  t.equal(begun.length, 2)
  const latest = check.run()
  begun[1]!.resolve()
  await Promise.all(later)
  await nextIteration()
  t.equal(begun.length, 3)
  begun[2]!.resolve()
  await latest
  t.equal(begun.length, 3)
})

t.test('an error reaches the callers of the check that failed, and no others', async t => {
  const { begun, check } = checking()
  const first = check.run()
  const second = check.run()
  begun[0]!.reject(new Error('no'))
  await t.rejects(first, /no/)
  await nextIteration()
  begun[1]!.resolve()
  await second
  const third = check.run()
  t.equal(begun.length, 3, 'none is under way: it begins at once')
  begun[2]!.resolve()
  await third
})
