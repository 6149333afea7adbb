/** Removals of origins that are wanted again: none of them takes what is still in use, or is in force again. */
import t from 'tap'
import { type OriginRemovalContext, OriginRemovals } from '../../src/cache/origin-removal.ts'
import { keepingLogger } from '../fixtures/keeping-logger.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const url = 'http://near/'

/** An origin with two images, the second of which is open. */
function setUp({ isOpen = true } = {}) {
  const entries = new Map(
    ['closed', 'open'].map((key, k) => [key, { image: { origin: url, id: key, key }, nodeId: k }]),
  )
  const leaving = new Set<string>()
  const asked: string[] = []
  let answer = () => {}
  const answered = new Promise<void>(resolve => {
    answer = resolve
  })
  const removed: string[] = []
  const parts = {
    origins: { leaving, all: [{ origin: { url }, directory: 'near' }] },
    catalog: {
      byUse: () => [...entries.values()].map(entry => ({ entry })),
      isSuperseded: () => false,
      letGo: (entry: { image: { key: string } }) => {
        entries.delete(entry.image.key)
        return { recorded: Promise.resolve(), undo: () => {} }
      },
    },
    store: { find: () => null, removeImage: async () => true },
    index: { removeOrigin: async (gone: string) => void removed.push(gone) },
    modes: { draining: { begin: () => () => {} } },
    digester: { forget: () => {} },
    operations: { evictAll: async () => ({ images: 0, objects: 0, bytes: 0, held: [] }) },
    acquaintance: {
      knows: async (_nodeId: number, { name }: { name: string }) => {
        asked.push(name)
        await answered
        return isOpen && name === 'open'
      },
    },
    isInUse: () => false,
    modesChanged: async () => {},
    logger: keepingLogger(),
  }
  const removals = new OriginRemovals(parts as unknown as OriginRemovalContext)
  const dropped: string[] = []
  removals.onRemoved = async gone => void dropped.push(gone)
  return { removals, leaving, asked, answer, removed, dropped, left: () => [...entries.keys()] }
}

t.test('one that is cancelled in the middle of a look removes no more', async t => {
  const { removals, leaving, asked, answer, removed, dropped, left } = setUp()
  removals.begin(url)
  await until(() => asked.length === 1, patienceMs, 'the kernel is asked')
  const cancelled = removals.cancel(url)
  answer()
  await cancelled
  t.same({ removed, dropped, asked, left: left() }, { removed: [], dropped: [], asked: ['closed'], left: ['open'] })
  t.same([...leaving], [])
  t.same(removals.urls, [])
})

t.test('one that is held does not end; released, it does', async t => {
  const { removals, leaving, answer, removed, dropped, left } = setUp({ isOpen: false })
  answer()
  await removals.holding(new Set([url]), async () => {
    removals.begin(url)
    await until(() => left().length === 0, patienceMs, 'nothing holds it')
    await new Promise(resolve => setImmediate(resolve))
    t.same(removed, [])
    t.same([...leaving], [url])
  })
  await until(() => removals.urls.length === 0, patienceMs, 'its end')
  t.same({ removed, dropped, leaving: [...leaving] }, { removed: [url], dropped: [url], leaving: [] })
})

t.test('a hold waits for one that is ending', async t => {
  const { removals, answer, dropped } = setUp({ isOpen: false })
  answer()
  let [isTold, mayEnd] = [false, () => {}]
  const ends = new Promise<void>(resolve => {
    mayEnd = resolve
  })
  removals.onRemoved = async gone => {
    isTold = true
    await ends
    dropped.push(gone)
  }
  removals.begin(url)
  await until(() => isTold, patienceMs, 'its last step')
  const held = removals.holding(new Set([url]), async () => [...dropped])
  mayEnd()
  t.same(await held, [url])
})
