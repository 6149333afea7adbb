/** The queue of promotions, and its bound. */
import t from 'tap'
import { promotionConcurrency, promotionEntriesMax } from '../../../src/cache/fetch/limits.ts'
import { Promoter } from '../../../src/cache/fetch/promoter.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'

const extent = (bytes: number) => ({ object: 0, first: 0, bytes: new Uint8Array(bytes) })

const none = new Promoter().counters.droppedBy

t.test('one byte over the bound is dropped, and another bound holds from the next extent on', async t => {
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const stored = { writeExtents: () => held.then(() => ['landed']) } as unknown as StoredImage
  const promoter = new Promoter(100)
  const offer = async (bytes: number) => (await promoter.offer(stored, [extent(bytes)]))[0]
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
  const stored = { writeExtents: async () => [results.shift()] } as unknown as StoredImage
  const promoter = new Promoter(100)
  for (let k = 0; k < 5; k++) await promoter.offer(stored, [extent(10)])
  const droppedBy = { ...none, 'no-room': 1, 'disk-failed': 2 }
  t.same(promoter.counters, { queuedBytes: 0, promotedBytes: 10, dropped: 3, droppedBy })
})

t.test('one entry more than may wait is dropped and counted', async t => {
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const stored = { writeExtents: () => held.then(() => ['landed']) } as unknown as StoredImage
  const promoter = new Promoter()
  const offer = async () => (await promoter.offer(stored, [extent(1)]))[0]
  const waiting = Array.from({ length: promotionConcurrency + promotionEntriesMax }, offer)
  t.equal(await offer(), 'full')
  t.match(promoter.counters, { dropped: 1, droppedBy: { 'queue-full': 1 } })
  release()
  t.ok((await Promise.all(waiting)).every(result => result === 'landed'))
  t.equal(await offer(), 'landed')
})

t.test('of extents that are offered together those without room are dropped', async t => {
  const written: number[] = []
  const writeExtents = async (extents: readonly { bytes: Uint8Array }[]) => {
    for (const { bytes } of extents) written.push(bytes.length)
    return extents.map(({ bytes }) => (bytes.length === 30 ? 'failed' : 'landed'))
  }
  const promoter = new Promoter(100)
  const offered = [60, 50, 30, 10].map(extent)
  const stored = { writeExtents } as unknown as StoredImage
  t.same(await promoter.offer(stored, offered), ['landed', 'full', 'failed', 'landed'])
  t.same(written, [60, 30, 10])
  const droppedBy = { ...none, 'queue-full': 1, 'disk-failed': 1 }
  t.same(promoter.counters, { queuedBytes: 0, promotedBytes: 70, dropped: 2, droppedBy })
})
