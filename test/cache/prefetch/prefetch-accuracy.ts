/** Prefetch accuracy: how much is fetched ahead is judged by what became of it lately. */
import t from 'tap'
import { prefetchRecentBytes, prefetchUnreadShareMax } from '../../../src/cache/fetch/limits.ts'
import { PrefetchAccuracy } from '../../../src/cache/prefetch/prefetch-accuracy.ts'

const pieceBytes = prefetchRecentBytes / 64

t.test('every byte is counted, by what became of it', async t => {
  const accuracy = new PrefetchAccuracy()
  accuracy.fetched(300)
  accuracy.read(100)
  accuracy.unread(150)
  t.same(accuracy.counters, { fetchedBytes: 300, readBytes: 100, unreadBytes: 150 })
})

t.test('while as much is read as is wasted nothing is held back, and a few pieces say nothing', async t => {
  const accuracy = new PrefetchAccuracy()
  for (let k = 0; k < 3; k++) accuracy.unread(pieceBytes)
  t.equal(accuracy.scale, 1, 'it is too early to say')
  const even = new PrefetchAccuracy()
  t.equal(prefetchUnreadShareMax, 0.5)
  even.unread(4 * pieceBytes)
  even.read(4 * pieceBytes)
  even.read(pieceBytes)
  t.equal(even.scale, 1)
})

t.test('the more is wasted the less is fetched ahead, a sixteenth at the least', async t => {
  const accuracy = new PrefetchAccuracy()
  accuracy.read(pieceBytes)
  accuracy.unread(7 * pieceBytes)
  t.ok(
    accuracy.scale > 0.2 && accuracy.scale < 0.25,
    `${accuracy.scale}: an eighth is read, of the half that should be`,
  )
  for (let k = 0; k < 64; k++) accuracy.unread(pieceBytes)
  t.equal(accuracy.scale, 1 / 16)
})

t.test('what is long ago counts no more', async t => {
  const accuracy = new PrefetchAccuracy()
  for (let k = 0; k < 200; k++) accuracy.unread(pieceBytes)
  for (let k = 0; k < 64; k++) accuracy.read(pieceBytes)
  t.equal(accuracy.scale, 1)
  accuracy.unread(prefetchRecentBytes)
  accuracy.read(1.5 * prefetchRecentBytes)
  accuracy.unread(0.9 * prefetchRecentBytes)
  t.ok(Math.abs(accuracy.scale - 0.15 / 1.05 / 0.5) < 1e-9, 'a tenth of what was read counts, and nothing from before')
  accuracy.unread(2 * prefetchRecentBytes)
  t.equal(accuracy.scale, 1 / 16, 'more at once than is looked back upon')
})
