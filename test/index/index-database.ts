import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { identify } from '../../src/base/image.ts'
import { listingChunkNames } from '../../src/index/format/listing-chunks.ts'
import { IndexDatabase } from '../../src/index/index-database.ts'
import { MemoryEnvironment } from '../fixtures/memory-environment.ts'
import { seeded } from '../fixtures/seeded.ts'

const image = identify({
  origin: 'file:///parents',
  key: 'a.raw',
  sizeBytes: 10_000_000,
  validator: 'v1',
  modifiedMs: 5,
})
const other = identify({ ...image, key: 'b.raw' })

function sumsOf(values: Record<number, number>): Uint32Array {
  const sums = new Uint32Array(64)
  for (const [block, sum] of Object.entries(values)) sums[Number(block)] = sum
  return sums
}

/** Opener of an index in one test; the second call opens it with its records. */
type Opener = (t: Test) => () => IndexDatabase

const openers: Record<string, Opener> = {
  'on disk': t => {
    const directory = t.testdir()
    return () => new IndexDatabase(directory)
  },
  'in memory': () => {
    let last: MemoryEnvironment | undefined
    return () => {
      last = new MemoryEnvironment(seeded(1), last?.content)
      return new IndexDatabase('in memory', { environment: last })
    }
  },
}

for (const [where, opener] of Object.entries(openers)) {
  t.test(`${where}: blocks are OR-ed into the record of their object, and sums join sums`, async t => {
    const index = opener(t)()
    const entry = { imageId: image.id, object: 3 }
    await index.record([{ ...entry, blocks: () => 0b0011n, zero: 0b0010n, sums: sumsOf({ 0: 7, 1: 8 }) }])
    await index.record([{ ...entry, blocks: () => 0b1000n, zero: 0n, sums: sumsOf({ 3: 9 }) }])
    const seen: unknown[] = []
    index.forEachObject((imageId, object, record) => seen.push({ imageId, object, record }))
    t.same(seen, [{ imageId: image.id, object: 3, record: { resident: 0b1011n, zero: 0b0010n } }])
    t.same(index.sums(image.id, 3), { blocks: 0b1011n, sums: sumsOf({ 0: 7, 1: 8, 3: 9 }) })
    await index.close()
  })

  t.test(`${where}: two entries of one object in one batch both arrive`, async t => {
    const index = opener(t)()
    const entry = { imageId: image.id, object: 0, zero: 0n }
    await index.record([
      { ...entry, blocks: () => 1n, sums: sumsOf({ 0: 1 }) },
      { ...entry, blocks: () => 2n, sums: sumsOf({ 1: 2 }) },
    ])
    t.equal(index.sums(image.id, 0)?.blocks, 3n)
    await index.close()
  })

  t.test(`${where}: an image that is removed leaves nothing`, async t => {
    const index = opener(t)()
    await index.putImage({ image, nodeId: 99n })
    await index.putDigest(image.id, { state: 'none', algorithm: null, published: null, computed: null })
    await index.putSeal(image.id, { root: 'r' })
    await index.record([{ imageId: image.id, object: 0, blocks: () => 1n, zero: 0n, sums: sumsOf({ 0: 1 }) }])
    await index.removeImage(image.id)
    const { id } = image
    t.same([index.images(), index.digest(id), index.seal(id), index.sums(id, 0)], [[], null, null, null])
    await index.close()
  })

  t.test(`${where}: an entry whose blocks were all revoked when the transaction runs leaves no record`, async t => {
    const index = opener(t)()
    await index.record([{ imageId: image.id, object: 0, blocks: () => 0n, zero: 0n, sums: sumsOf({ 0: 1 }) }])
    index.forEachObject(() => t.fail('nothing may be recorded'))
    t.equal(index.sums(image.id, 0), null)
    await index.close()
  })

  t.test(
    `${where}: a forget that was called after a record takes effect after it, though neither was awaited`,
    async t => {
      const index = opener(t)()
      const recorded = index.record([{ imageId: image.id, object: 0, blocks: () => 7n, zero: 1n, sums: sumsOf({}) }])
      const forgotten = index.forget([{ imageId: image.id, object: 0, blocks: 5n }])
      await Promise.all([recorded, forgotten])
      const seen: unknown[] = []
      index.forEachObject((_, object, record) => seen.push({ object, record }))
      t.same(seen, [{ object: 0, record: { resident: 2n, zero: 0n } }])
      await index.forget([{ imageId: image.id, object: 0, blocks: 2n }])
      index.forEachObject(() => t.fail('the last block takes the record with it'))
      t.equal(index.sums(image.id, 0), null)
      await index.close()
    },
  )

  t.test(`${where}: everything is there after a restart, sorted by image and object`, async t => {
    const open = opener(t)
    const first = open()
    await first.putImage({ image, nodeId: 1n << 60n })
    await first.putImage({ image: other, nodeId: 99n })
    await first.putName(image.origin, 'a.raw', image.id)
    await first.putName(image.origin, 'ä\nb', other.id)
    await first.putName('http://elsewhere/', 'a.raw', other.id)
    await first.putListing(image.origin, ['a.raw', 'ä\nb'])
    await first.putRecency(image.id, Uint32Array.of(0, 17, 300, 4_000_000_000))
    for (const object of [300, 2, 70_000]) {
      await first.record([
        { imageId: image.id, object, blocks: () => 1n << 63n, zero: 0n, sums: sumsOf({ 63: object }) },
      ])
    }
    await first.close()
    const second = open()
    t.same(
      second.images().sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1)),
      [
        { image: other, nodeId: 99n },
        { image, nodeId: 1n << 60n },
      ],
    )
    t.equal(second.name(image.origin, 'a.raw'), image.id)
    t.equal(second.name(image.origin, 'c.raw'), null)
    t.same(second.names(image.origin), [
      { name: 'a.raw', imageId: image.id },
      { name: 'ä\nb', imageId: other.id },
    ])
    t.same(await second.listing(image.origin), ['a.raw', 'ä\nb'])
    t.equal(await second.listing('http://elsewhere/'), null)
    t.same(second.recency(image.id), Uint32Array.of(0, 17, 300, 4_000_000_000))
    const objects: number[] = []
    second.forEachObject((_, object) => objects.push(object))
    t.same(objects, [2, 300, 70_000])
    t.equal(second.sums(image.id, 70_000)?.sums[63], 70_000)
    await second.close()
  })

  t.test(`${where}: removing an image takes its objects, sums and recency, and nobody else’s`, async t => {
    const index = opener(t)()
    for (const { id } of [image, other]) {
      await index.record([{ imageId: id, object: 5, blocks: () => 1n, zero: 0n, sums: sumsOf({ 0: 1 }) }])
      await index.putRecency(id, Uint32Array.of(5, 5))
    }
    await index.removeImage(image.id)
    const left: string[] = []
    index.forEachObject(imageId => left.push(imageId))
    t.same(left, [other.id])
    t.equal(index.sums(image.id, 5), null)
    t.equal(index.recency(image.id), null)
    t.not(index.recency(other.id), null)
    await index.close()
  })
}

t.test('writes take effect in the order of the calls, of whatever kind they are', async t => {
  const index = new IndexDatabase(t.testdir())
  const isKnown = () => index.images().some(({ image: { id } }) => id === image.id)
  const entry = { image, nodeId: 5n }
  const record = () =>
    index.record([{ imageId: other.id, object: 5, blocks: () => 1n, zero: 0n, sums: sumsOf({ 0: 1 }) }])
  let wrong = 0
  for (let k = 0; k < 60; k++) {
    // Batches of different lengths, begun in other turns.
    const others = Array.from({ length: k % 4 }, record)
    if (k % 3 === 0) await null
    const writes = [index.putImage(entry), index.removeImage(image.id)]
    if (k % 2 === 0) writes.push(index.putImage(entry))
    if (k % 5 === 0) others.push(record())
    await Promise.all([...writes, ...others])
    if (isKnown() !== (k % 2 === 0)) wrong++
  }
  t.equal(wrong, 0)
  await index.close()
})

t.test('an index that cannot be opened says index-failed', async t => {
  for (const content of ['', 'not a database', 'A'.repeat(100_000)]) {
    const directory = t.testdir({ 'data.mdb': content })
    t.throws(() => new IndexDatabase(directory), { code: 'index-failed' })
  }
  t.throws(() => new IndexDatabase(t.testdir({ 'data.mdb': {} })), { code: 'index-failed' })
})

t.test('a write after close says closed', async t => {
  const index = new IndexDatabase(t.testdir())
  await index.close()
  t.equal(index.recordBytes, 0, 'and nothing is counted any more')
  await t.rejects(index.putImage({ image, nodeId: 5n }), { code: 'closed' })
})

t.test('a damaged value counts as absent, and is counted', async t => {
  const directory = t.testdir()
  const first = new IndexDatabase(directory)
  await first.putImage({ image, nodeId: 7n })
  await first.putImage({ image: other, nodeId: 8n })
  await first.close()
  const path = join(directory, 'data.mdb')
  const bytes = readFileSync(path)
  for (let at = bytes.indexOf('"b.raw"'); at >= 0; at = bytes.indexOf('"b.raw"', at + 1))
    bytes[at + 1] = 'c'.charCodeAt(0)
  writeFileSync(path, bytes)
  rmSync(join(directory, 'CLEAN'))
  const second = new IndexDatabase(directory)
  t.same(
    second.images().map(entry => entry.image.key),
    ['a.raw'],
  )
  t.equal(second.damagedValues, 1)
  await second.close()
})

t.test('a long listing that is replaced by a short one leaves nothing', async t => {
  const environment = new MemoryEnvironment(seeded(1))
  const index = new IndexDatabase('in memory', { environment })
  const long = Array.from({ length: listingChunkNames + 1 }, (_, k) => `n${k}`)
  await index.putListing('o', long)
  t.same([await index.listing('o'), environment.content.listings.size], [long, 3])
  await index.putListing('o', ['a'])
  t.same([await index.listing('o'), environment.content.listings.size], [['a'], 1])
  await index.close()
})

/** An environment that refuses transactions as lmdb does, so many of the next ones. */
function refusing(code: number) {
  const environment = new MemoryEnvironment(seeded(1))
  const state = { refusals: 0, calls: 0, marks: [] as boolean[] }
  const transaction = (action: () => void) => {
    state.calls++
    if (state.refusals === 0) return environment.transaction(action)
    state.refusals--
    const reason = Promise.reject(Object.assign(new Error('refused'), { code }))
    return Promise.reject(Object.assign(new Error('Commit failed'), { commitError: reason }))
  }
  const close = (isDamaged: boolean) => {
    state.marks.push(isDamaged)
    return environment.close()
  }
  const wrapped = { databases: environment.databases, allocatedBytes: 0, transaction, close }
  return { index: new IndexDatabase('in memory', { environment: wrapped }), state }
}

t.test('a commit that lmdb refuses for its free list is made once more, unless a later write was called', async t => {
  const { index, state } = refusing(-30_782)
  state.refusals = 1
  await index.putListing('o', ['a'])
  t.same(await index.listing('o'), ['a'])
  t.equal(state.calls, 2)
  state.refusals = 2
  await t.rejects(index.putListing('o', ['b']), { code: 'index-failed', message: /refused/ }, 'once')
  state.refusals = 1
  const first = index.putListing('o', ['c'])
  const second = index.putListing('o', ['d'])
  await t.rejects(first, { code: 'index-failed' }, 'the later one stands')
  await second
  t.same(await index.listing('o'), ['d'])
  await index.close()
})

t.test('a commit that failed for another reason is not made again', async t => {
  const { index, state } = refusing(28)
  state.refusals = 1
  await t.rejects(index.putListing('o', ['a']), { code: 'index-failed' })
  t.equal(state.calls, 1)
  await index.close()
})

t.test(
  'a write by which LMDB says that its pages are damaged marks the index; one that the disk refuses does not',
  async t => {
    for (const [code, isDamaged] of [
      [-30_796, true], // MDB_CORRUPTED
      [22, true], // EINVAL
      [28, false], // ENOSPC
    ] as const) {
      const { index, state } = refusing(code)
      state.refusals = 1
      await t.rejects(index.putListing('o', ['a']), { code: 'index-failed' })
      await index.putListing('o', ['b'])
      await index.close()
      t.same(state.marks, [isDamaged], `${code}`)
    }
  },
)

t.test('a walk that ends before the last key ends its read of the database', async t => {
  const environment = new MemoryEnvironment(seeded(1))
  let ended = 0
  const { pins } = environment.databases
  const getRange: typeof pins.getRange = function* (range) {
    try {
      yield* pins.getRange(range)
    } finally {
      ended++
    }
  }
  const databases = { ...environment.databases, pins: { ...pins, getRange } }
  const close = () => environment.close()
  const transaction = (action: () => void) => environment.transaction(action)
  const index = new IndexDatabase('in memory', { environment: { databases, allocatedBytes: 0, transaction, close } })
  for (const origin of ['a', 'b']) await index.putPin(origin, { name: 'n', pinnedMs: 1 })
  for (const origin of ['a', 'b']) t.equal(index.pins(origin).length, 1)
  t.equal(ended, 2)
  await index.close()
})
