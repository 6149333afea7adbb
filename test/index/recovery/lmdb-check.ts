import { copyFileSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { databaseNames } from '../../../src/index/format/value-checksum.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import { findDamage } from '../../../src/index/recovery/lmdb-check.ts'
import { LmdbFile } from '../../../src/index/recovery/lmdb-file.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

const imageId = '00112233445566778899aabbccddeeff'
const all = 2n ** 64n - 1n

/** An index that was written to in many ways; `look` sees its file as kill -9 would leave it, again and again. */
async function used(directory: string, random: () => number, look: (copy: string) => void): Promise<string> {
  const index = new IndexDatabase(directory)
  const path = join(directory, 'data.mdb')
  const sums = Uint32Array.from({ length: 64 }, (_, k) => k)
  const image = { id: imageId, origin: 'file:///o', key: 'a.raw', sizeBytes: 1e9, validator: 'v', modifiedMs: 0 }
  await index.putImage({ image, nodeId: 7n })
  for (let round = 0; round < 12; round++) {
    const objects = Array.from({ length: between(random, 1, 800) }, () => between(random, 0, 4000))
    const blocks = random() < 0.5 ? all : 1n << BigInt(between(random, 0, 64))
    await index.record(objects.map(object => ({ imageId, object, blocks: () => blocks, zero: 0n, sums })))
    await index.forget(objects.filter(() => random() < 0.4).map(object => ({ imageId, object, blocks: all })))
    await index.putRecency(imageId, new Uint32Array(2 * between(random, 1, 5000)))
    await index.putName('file:///o', `${round}`, imageId)
    await index.putListing(
      'file:///o',
      Array.from({ length: between(random, 0, 2000) }, (_, k) => `name ${k}`),
    )
    if (round === 8) await index.removeImage(imageId)
    copyFileSync(path, `${path}.copy`)
    look(`${path}.copy`)
  }
  await index.close()
  return path
}

t.test(`whatever LMDB has written is sound, at any moment (SEED=${seed})`, async t => {
  const directory = t.testdir()
  await new IndexDatabase(join(directory, 'empty')).close()
  t.equal(findDamage(join(directory, 'empty', 'data.mdb')), null)
  const path = await used(join(directory, 'used'), seeded(seed), copy => t.equal(findDamage(copy), null))
  t.equal(findDamage(path), null)
})

/** Where the parts of the file lie, in bytes. */
function mapOf(path: string) {
  const file = LmdbFile.open(path)
  try {
    const bytes = readFileSync(path)
    const { meta, pageBytes } = file
    const newer = meta.transaction % 2n === 0n ? 0 : pageBytes
    const main = meta.main.root! * pageBytes
    const nodeAt = (page: number, k: number) => page + 24 + bytes.readUInt16LE(page + 24 + 2 * k)
    const subtree = (name: (typeof databaseNames)[number]) => {
      const data = nodeAt(main, [...databaseNames].sort().indexOf(name)) + 8 + name.length + 1
      return { data, page: file.treeAt(bytes, data).root! * pageBytes }
    }
    const [recency, residency] = [subtree('recency'), subtree('residency')]
    const free = meta.free.root! * pageBytes
    return { bytes, meta, pageBytes, newer, main, recency, residency, free, nodeAt }
  } finally {
    file.close()
  }
}

/** Check that each change of the file is found. */
function finds(t: Test, path: string, changes: Record<string, (bytes: Buffer) => void>): void {
  const whole = readFileSync(path)
  for (const [what, change] of Object.entries(changes)) {
    const bytes = Buffer.from(whole)
    change(bytes)
    writeFileSync(path, bytes)
    const found = findDamage(path)
    t.not(found, null, `${what}: ${found}`)
  }
  writeFileSync(path, whole)
}

t.test('each kind of damage that LMDB would follow is found', async t => {
  const path = await used(join(t.testdir(), 'used'), seeded(1), () => {})
  const { bytes, meta, newer, main, recency, residency, free, nodeAt } = mapOf(path)
  t.equal(bytes.readUInt16LE(residency.page + 18), 1, 'a branch')
  const [node0, node1] = [nodeAt(residency.page, 0), nodeAt(residency.page, 1)]
  const big = nodeAt(recency.page, 0)
  t.equal(bytes.readUInt16LE(big + 4), 1, 'a long value')
  const bigPage = bytes.readUInt32LE(big + 8 + 16) * 4096
  const freeNode = nodeAt(free, 0)
  const entry = freeNode + 8 + 8 + 8 * bytes.readUInt32LE(freeNode + 16)
  const set16 = (at: number, change: (value: number) => number) => (file: Buffer) =>
    file.writeUInt16LE(change(file.readUInt16LE(at)) & 0xffff, at)
  finds(t, path, {
    'no magic': set16(24, value => value ^ 1),
    'another size of a page': set16(newer + 48, value => value * 2),
    'a small map': file => file.writeBigUInt64LE(8192n, newer + 40),
    'a meta page that is lost': file => file.writeBigUInt64LE(meta.transaction + 2n, newer + 24 + 128),
    'a last page before the last': file => file.writeBigUInt64LE(3n, newer + 24 + 120),
    'the number of a page': set16(main, value => value ^ 1),
    'the kind of a page': set16(main + 18, () => 1),
    'a page from the future': file => file.writeBigUInt64LE(meta.transaction + 1n, main + 8),
    'the lower bound': set16(main + 20, value => value + 2),
    'the upper bound': set16(main + 22, value => value - 2),
    'the place of a node': set16(main + 24, value => value + 2),
    'the length of a key': set16(nodeAt(main, 0) + 6, value => value + 1),
    'the length of a value': set16(nodeAt(main, 0), value => value - 2),
    'the kind of a node': set16(nodeAt(main, 0) + 4, value => value ^ 4),
    'the name of a database': set16(nodeAt(main, 0) + 8, value => value ^ 1),
    'a root': set16(residency.data + 40, value => value + 1),
    'a depth': set16(residency.data + 6, value => value + 1),
    'a count of entries': set16(residency.data + 32, value => value ^ 1),
    'a count of leaves': set16(residency.data + 16, value => value ^ 1),
    'a child': set16(node0, value => value ^ 1),
    'a child that is met twice': file => file.writeUInt16LE(file.readUInt16LE(node1), node0),
    'a child that is its own': set16(node0, () => residency.page / 4096),
    'a key of a branch, too small': file => file.fill(0, node1 + 8, node1 + 28),
    'a key of a branch, too large': file => file.fill(0xff, node1 + 8, node1 + 28),
    'a long value elsewhere': set16(big + 24, value => value + 1),
    'the pages of a long value': set16(bigPage + 20, value => value + 1),
    'a free page that is in use': file => file.writeBigInt64LE(BigInt(main / 4096), entry),
    'a free page past the end': file => file.writeBigInt64LE(BigInt(meta.lastPage + 1), entry),
    'free pages without a first': file => file.writeBigInt64LE(-2n, entry),
    'a list that is longer than its value': file => file.writeBigInt64LE(1000n, freeNode + 16),
    'a list of another time': file => file.writeBigUInt64LE(meta.transaction + 1n, freeNode + 8),
  })
  truncateSync(path, 4096 * Math.floor(statSync(path).size / 8192))
  t.not(findDamage(path), null, 'a file cut off')
})

t.test('what is no database is not sound', async t => {
  const directory = t.testdir()
  mkdirSync(join(directory, 'x'), { recursive: true })
  for (const content of ['', 'not a database', 'A'.repeat(100_000)]) {
    const path = join(directory, 'x', 'data.mdb')
    writeFileSync(path, content)
    t.not(findDamage(path), null)
  }
})
