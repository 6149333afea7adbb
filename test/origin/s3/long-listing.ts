/** Listings that outlast the call for them. */
import t from 'tap'
import type { CancelSignal } from '../../../src/base/cancel-signal.ts'
import { listingKeptMs } from '../../../src/origin/s3/limits.ts'
import { LongListing } from '../../../src/origin/s3/long-listing.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'

function made() {
  const clock = { ms: 0 }
  const begun: { signal: CancelSignal; end: (names: string[]) => void; fail: (error: Error) => void }[] = []
  const listing = new LongListing<string[]>(() => clock.ms)
  const list = (signal: CancelSignal) => {
    const { promise, resolve, reject } = deferred<string[]>()
    begun.push({ signal, end: resolve, fail: reject })
    return promise
  }
  const names = (signal: CancelSignal = new AbortController().signal) => listing.names(list, signal)
  return { clock, begun, names }
}

t.test('a listing goes on without its caller, and the next one gets it', async t => {
  const { begun, names, clock } = made()
  const caller = new AbortController()
  const first = names(caller.signal)
  caller.abort()
  await t.rejects(first, { code: 'aborted' })
  t.equal(begun[0]!.signal.aborted, false)
  begun[0]!.end(['a'])
  await Promise.resolve()
  clock.ms = listingKeptMs - 1
  t.same(await names(), ['a'])
  t.equal(begun.length, 1)
  const fresh = names()
  t.equal(begun.length, 2, 'it was given once')
  begun[1]!.end(['b'])
  t.same(await fresh, ['b'])
})

t.test('callers of one moment share a listing, and its failure', async t => {
  const { begun, names } = made()
  const both = [names(), names()]
  begun[0]!.fail(new Error('broken'))
  for (const each of both) await t.rejects(each, /broken/)
  const next = names()
  begun[1]!.end([])
  t.same(await next, [])
  t.equal(begun.length, 2)
})

t.test('one that was whole long ago is not given any more', async t => {
  const { begun, names, clock } = made()
  await t.rejects(names(AbortSignal.abort()), { code: 'aborted' })
  begun[0]!.end(['old'])
  await Promise.resolve()
  clock.ms = listingKeptMs
  const fresh = names()
  begun[1]!.end(['new'])
  t.same(await fresh, ['new'])
})

t.test('a failure that no caller waits for is nothing', async t => {
  const { begun, names } = made()
  await t.rejects(names(AbortSignal.abort()), { code: 'aborted' })
  begun[0]!.fail(new Error('nobody hears of it'))
  await nextIteration()
  const next = names()
  begun[1]!.end(['a'])
  t.same(await next, ['a'])
})
