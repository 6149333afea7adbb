/** The queue of promotions, and its bound. */
import t from 'tap'
import { promotionConcurrency, promotionEntriesMax } from '../../../src/cache/fetch/limits.ts'
import { Promoter } from '../../../src/cache/fetch/promoter.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'

t.test('one byte over the bound is dropped, and another bound holds from the next extent on', async t => {
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const stored = { writeBlocks: () => held.then(() => 'landed') } as unknown as StoredImage
  const promoter = new Promoter(100)
  const offer = (bytes: number) => promoter.offer(stored, 0, 0, new Uint8Array(bytes))
  const first = offer(60)
  t.equal(await offer(41), 'full')
  const second = offer(40)
  promoter.resize(150)
  const third = offer(50)
  t.equal(await offer(1), 'full')
  promoter.resize(10)
  release()
  t.same(await Promise.all([first, second, third]), ['landed', 'landed', 'landed'])
  t.equal(await offer(11), 'full')
  t.equal(await offer(10), 'landed')
  t.match(promoter.counters, { queuedBytes: 0, promotedBytes: 160, dropped: 3, droppedBy: { 'queue-full': 3 } })
})

t.test('why an extent was dropped is counted; one that was there already is not dropped', async t => {
  const results = ['full', 'failed', 'failed', 'held-already', 'landed']
  const stored = { writeBlocks: async () => results.shift() } as unknown as StoredImage
  const promoter = new Promoter(100)
  for (let k = 0; k < 5; k++) await promoter.offer(stored, 0, 0, new Uint8Array(10))
  const droppedBy = { 'queue-full': 0, 'no-room': 1, 'disk-failed': 2 }
  t.same(promoter.counters, { queuedBytes: 0, promotedBytes: 10, dropped: 3, droppedBy })
})

t.test('one entry more than may wait is dropped and counted', async t => {
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const stored = { writeBlocks: () => held.then(() => 'landed') } as unknown as StoredImage
  const promoter = new Promoter()
  const offer = () => promoter.offer(stored, 0, 0, new Uint8Array(1))
  const waiting = Array.from({ length: promotionConcurrency + promotionEntriesMax }, offer)
  t.equal(await offer(), 'full')
  t.match(promoter.counters, { dropped: 1, droppedBy: { 'queue-full': 1 } })
  release()
  t.ok((await Promise.all(waiting)).every(result => result === 'landed'))
  t.equal(await offer(), 'landed')
})
