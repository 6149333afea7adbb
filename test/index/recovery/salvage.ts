import { existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import t from 'tap'
import { HeldDirectory } from '../../../src/base/held-directory.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import type { IndexOptions } from '../../../src/index/lmdb-environment.ts'
import { copyImages } from '../../../src/index/recovery/salvage.ts'

const imageId = '00112233445566778899aabbccddeeff'
const objects = 3000

/** An index as kill -9 leaves it. */
async function abandoned(directory: string): Promise<string> {
  const index = new IndexDatabase(directory)
  const image = { id: imageId, origin: 'file:///o', key: 'a.raw', sizeBytes: 1e9, validator: 'v', modifiedMs: 0 }
  await index.putImage({ image, nodeId: 7n })
  const sums = new Uint32Array(64).fill(0xabcdef)
  const entries = Array.from({ length: objects }, (_, object) => ({
    imageId,
    object,
    blocks: () => 5n,
    zero: 4n,
    sums,
  }))
  await index.record(entries)
  await index.close()
  rmSync(join(directory, 'CLEAN'))
  return directory
}

async function contentOf(directory: string, options: IndexOptions = {}) {
  const index = new IndexDatabase(directory, options)
  let records = 0
  index.forEachObject((_, object, { resident, zero }) => {
    if (resident === 5n && zero === 4n && index.sums(imageId, object)?.sums[2] === 0xabcdef) records++
  })
  const content = { images: index.images().length, records, damaged: index.damagedValues }
  await index.close()
  return content
}

/** Give pages other numbers: reading does not mind, writing frees the wrong ones. And damage the image's value. */
function damagePages(path: string): void {
  const bytes = readFileSync(path)
  for (let page = 2; page < bytes.length / 4096; page++) bytes[page * 4096 + 5]! ^= 1
  for (let at = bytes.indexOf('"a.raw"'); at >= 0; at = bytes.indexOf('"a.raw"', at + 1)) bytes[at + 1]! ^= 1
  writeFileSync(path, bytes)
}

/** Salvage of the index; the disk may have no room. */
function doubting(told: (string | null)[], roomBytes: number = Number.POSITIVE_INFINITY) {
  const onSalvaged = (failure: string | null) => void told.push(failure)
  return { salvage: { isInDoubt: true, copyBytesMax: () => roomBytes, onSalvaged } }
}

/** In every version of a page that says where `name` has its first page, say that it has it far beyond the file. */
function loseRoot(path: string, name: string): void {
  const bytes = readFileSync(path)
  // Source: liblmdb/mdb.c: the key of a named database ends with NUL. MDB_db follows, with md_root at 40.
  const key = `${name}\0`
  for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1)) {
    const root = at + key.length + 40
    if (root + 8 <= bytes.length) bytes.writeBigUInt64LE(1n << 40n, root)
  }
  writeFileSync(path, bytes)
}

t.test('an index that was not closed properly is opened as it is, and copied where it is in doubt', async t => {
  const directory = await abandoned(t.testdir())
  const path = join(directory, 'data.mdb')
  const { ino } = statSync(path)
  t.same(await contentOf(directory), { images: 1, records: objects, damaged: 0 })
  t.equal(statSync(path).ino, ino)
  const told: (string | null)[] = []
  t.same(await contentOf(directory, doubting(told)), { images: 1, records: objects, damaged: 0 })
  t.equal(statSync(path).ino, ino, 'nor one that was closed, whatever the doubt')
  rmSync(join(directory, 'CLEAN'))
  damagePages(path)
  t.same(await contentOf(directory, doubting(told)), { images: 0, records: objects, damaged: 0 }, 'what was whole')
  t.not(statSync(path).ino, ino, 'another file')
  t.notOk(existsSync(join(directory, 'salvaged')))
  t.same(told, [null])
})

t.test('where there is no room for a copy the index is empty; what a disk does not give stays', async t => {
  const directory = await abandoned(t.testdir())
  const path = join(directory, 'data.mdb')
  const told: (string | null)[] = []
  const { blocks } = statSync(path)
  t.same(await contentOf(directory, doubting(told, blocks * 512 - 1)), { images: 0, records: 0, damaged: 0 })
  t.match(told, [/^a copy needs \d+ bytes, and there are \d+$/])
  rmSync(join(directory, 'CLEAN'))
  rmSync(path)
  mkdirSync(path)
  t.throws(() => new IndexDatabase(directory, doubting(told)), { code: 'index-failed' })
  t.ok(statSync(path).isDirectory())
  t.equal(told.length, 1)
})

t.test('a copy needs as much room as the index takes, and no more', async t => {
  const directory = await abandoned(t.testdir())
  const told: (string | null)[] = []
  const { blocks } = statSync(join(directory, 'data.mdb'))
  t.equal((await contentOf(directory, doubting(told, blocks * 512))).records, objects)
  t.same(told, [null])
})

t.test('lists that cannot be copied whole leave nothing in the other index', async t => {
  const top = t.testdir({
    from: { 'data.mdb': 'no database' },
    to: { 'data.mdb': 'the begin of a copy', 'lock.mdb': '' },
  })
  const [from, to] = [HeldDirectory.open(join(top, 'from')), HeldDirectory.open(join(top, 'to'))]
  await copyImages(from, to, silentLogger)
  t.same(to.names(), [])
  from.close()
  to.close()
})

t.test('what LMDB cannot read ends a start, and the next one copies what is whole', async t => {
  const directory = await abandoned(t.testdir())
  loseRoot(join(directory, 'data.mdb'), 'residency')
  const first = new IndexDatabase(directory)
  t.equal(first.images().length, 1)
  t.throws(() => first.forEachObject(() => {}), {
    code: 'index-failed',
    message: /the next start copies the intact values/,
  })
  await first.close()
  t.equal(readFileSync(join(directory, 'CLEAN'), 'utf8'), 'damaged\n')
  t.same(await contentOf(directory), { images: 1, records: 0, damaged: 0 })
  t.match(readFileSync(join(directory, 'CLEAN'), 'utf8'), /^\d+ \d+\n$/)
})

t.test('a value that LMDB cannot reach counts as absent, and the next start copies what is whole', async t => {
  const directory = await abandoned(t.testdir())
  loseRoot(join(directory, 'data.mdb'), 'sums')
  const first = new IndexDatabase(directory)
  t.equal(first.sums(imageId, 3), null)
  t.equal(first.damagedValues, 1)
  await first.close()
  const told: (string | null)[] = []
  const second = new IndexDatabase(directory, { salvage: { ...doubting(told).salvage, isInDoubt: false } })
  t.same(told, [null])
  t.equal(second.images().length, 1)
  t.equal(second.sums(imageId, 3), null)
  await second.close()
})

t.test('an index that does not open is copied by the next start', async t => {
  const directory = await abandoned(t.testdir())
  const path = join(directory, 'data.mdb')
  const bytes = readFileSync(path)
  // Source: liblmdb/mdb.c: MDB_meta at 24 of the first two pages, its second MDB_db at 72, md_root at 40 of that.
  for (const page of [0, 4096]) bytes.writeBigUInt64LE(1n << 40n, page + 24 + 72 + 40)
  writeFileSync(path, bytes)
  t.throws(() => new IndexDatabase(directory), { code: 'index-failed', message: /does not open/ })
  t.same(await contentOf(directory), { images: 0, records: 0, damaged: 0 })
})

t.test('an index that vouches for itself and does not open is copied by the next start', async t => {
  const directory = await abandoned(t.testdir())
  const path = join(directory, 'data.mdb')
  const bytes = readFileSync(path)
  for (const page of [0, 4096]) bytes.writeBigUInt64LE(1n << 40n, page + 24 + 72 + 40)
  writeFileSync(path, bytes)
  writeFileSync(join(directory, 'CLEAN'), `${bytes.length} ${crc32(bytes)}\n`)
  t.throws(() => new IndexDatabase(directory), { code: 'index-failed', message: /does not open/ })
  t.equal(readFileSync(join(directory, 'CLEAN'), 'utf8'), 'damaged\n')
})

t.test('a copy that could not be begun is made by the next start', async t => {
  const directory = await abandoned(t.testdir())
  writeFileSync(join(directory, 'CLEAN'), 'damaged\n')
  const isAway = () => {
    throw new Error('EIO')
  }
  const salvage = { isInDoubt: false, copyBytesMax: isAway, onSalvaged: () => {} }
  t.throws(() => new IndexDatabase(directory, { salvage }), { code: 'index-failed', message: /EIO/ })
  t.equal(readFileSync(join(directory, 'CLEAN'), 'utf8'), 'damaged\n')
  t.equal((await contentOf(directory)).records, objects)
})

t.test('a file that is nearly all hole is not read to its end, and copied by the next start', async t => {
  const directory = await abandoned(t.testdir())
  const path = join(directory, 'data.mdb')
  const index = new IndexDatabase(directory)
  truncateSync(path, 2 ** 42)
  await index.close()
  t.equal(readFileSync(join(directory, 'CLEAN'), 'utf8'), 'damaged\n')
  t.same(await contentOf(directory), { images: 1, records: objects, damaged: 0 })
  t.ok(statSync(path).size < 2 ** 30)
})

t.test('a damaged value counts as absent', async t => {
  const directory = await abandoned(t.testdir())
  const path = join(directory, 'data.mdb')
  const bytes = readFileSync(path)
  for (let at = bytes.indexOf('"a.raw"'); at >= 0; at = bytes.indexOf('"a.raw"', at + 1)) bytes[at + 1]! ^= 1
  writeFileSync(path, bytes)
  t.same(await contentOf(directory), { images: 0, records: objects, damaged: 1 })
})
