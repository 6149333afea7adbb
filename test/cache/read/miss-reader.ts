/** A read whose plans fail, by a store and an origin that are made up. */
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { MissReader, type MissReaderContext } from '../../../src/cache/read/miss-reader.ts'

t.test('a read that cannot be answered from the store is planned four times, then fetched whole', async t => {
  const image = identify({ origin: 'o', key: 'a', sizeBytes: 100, validator: '1', modifiedMs: 0 })
  const bytes = new Uint8Array(10).fill(7)
  const asked: string[] = []
  const context: Partial<MissReaderContext> = {
    patienceFor: () => null,
    stored: async () => {
      asked.push('plan')
      return { geometry: { parts: () => [] } } as unknown as Awaited<ReturnType<MissReaderContext['stored']>>
    },
    isReadable: () => false,
    fetcher: {
      fetch: async (_image: unknown, { offset, length }: { readonly offset: number; readonly length: number }) => {
        asked.push(`fetch ${offset} ${length}`)
        return { bytes, release: () => void asked.push('release') }
      },
    } as unknown as MissReaderContext['fetcher'],
  }
  const reader = new MissReader(context as MissReaderContext)
  const { signal } = new AbortController()
  t.same(await reader.read(image, 20, 10, { signal }), bytes)
  t.same(asked, ['plan', 'plan', 'plan', 'plan', 'fetch 20 10', 'release'])
  t.match(reader.counters, { hits: 0, misses: 1, missBytes: 10 })
  t.equal(reader.waiting, 0)
})
