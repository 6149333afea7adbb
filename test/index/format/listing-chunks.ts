/** Listings in the index: one value, or one for each chunk. */
import t from 'tap'
import { decodeJson } from '../../../src/index/format/encoding.ts'
import { joinListing, listingChunkNames, splitListing } from '../../../src/index/format/listing-chunks.ts'

const namesOf = (count: number) => Array.from({ length: count }, (_, k) => `n${k}`)

for (const [count, values] of [
  [0, 1],
  [listingChunkNames, 1],
  [listingChunkNames + 1, 3],
] as const) {
  t.test(`${count} names are ${values} values, and come back whole`, async t => {
    const split = await splitListing('o', namesOf(count))
    t.equal(split.length, values)
    const get = <T>(key: Buffer) => {
      const value = split.find(([each]) => each.equals(key))?.[1]
      return value ? decodeJson<T>(key, value) : null
    }
    t.same(await joinListing('o', get), namesOf(count))
  })
}

t.test('a listing of which a chunk is missing is none', async t => {
  const [head, first] = await splitListing('o', namesOf(listingChunkNames + 1))
  const get = <T>(key: Buffer) => {
    const value = [head, first].find(each => each?.[0].equals(key))?.[1]
    return value ? decodeJson<T>(key, value) : null
  }
  t.equal(await joinListing('o', get), null)
})
