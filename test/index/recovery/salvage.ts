import { copyFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { HeldDirectory } from '../../../src/base/held-directory.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import { findDamage } from '../../../src/index/recovery/lmdb-check.ts'
import { salvage } from '../../../src/index/recovery/salvage.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

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

async function contentOf(directory: string) {
  const index = new IndexDatabase(directory)
  let records = 0
  index.forEachObject((_, object, { resident, zero }) => {
    if (resident === 5n && zero === 4n && index.sums(imageId, object)?.sums[2] === 0xabcdef) records++
  })
  const content = { images: index.images().length, records, damaged: index.damagedValues }
  await index.close()
  return content
}

/** Give pages other numbers: who reads them does not mind, who writes them frees the wrong ones. And damage the image's value. */
function damagePages(path: string): void {
  const bytes = readFileSync(path)
  for (let page = 2; page < bytes.length / 4096; page++) bytes[page * 4096 + 5]! ^= 1
  for (let at = bytes.indexOf('"a.raw"'); at >= 0; at = bytes.indexOf('"a.raw"', at + 1)) bytes[at + 1]! ^= 1
  writeFileSync(path, bytes)
}

t.test('an index that was not closed properly and is sound is opened as it is', async t => {
  const directory = await abandoned(t.testdir())
  const before = statSync(join(directory, 'data.mdb')).ino
  t.same(await contentOf(directory), { images: 1, records: objects, damaged: 0 })
  t.equal(statSync(join(directory, 'data.mdb')).ino, before)
})

t.test('one that is damaged is copied, if there is room for a copy', async t => {
  const directory = await abandoned(t.testdir())
  const path = join(directory, 'data.mdb')
  damagePages(path)
  const { size, ino } = statSync(path)
  const held = HeldDirectory.open(directory)
  t.throws(() => salvage(held, () => size - 1), { code: 'index-failed', message: /a copy needs .* remove / })
  t.equal(statSync(path).ino, ino)
  salvage(held, () => size)
  held.close()
  t.not(statSync(path).ino, ino, 'another file')
  t.notOk(existsSync(join(directory, 'salvaged')))
  t.equal(findDamage(path), null)
  t.same(await contentOf(directory), { images: 0, records: objects, damaged: 0 }, 'what was damaged stayed behind')
})

t.test('a damaged value counts as absent', async t => {
  const directory = await abandoned(t.testdir())
  const path = join(directory, 'data.mdb')
  const bytes = readFileSync(path)
  for (let at = bytes.indexOf('"a.raw"'); at >= 0; at = bytes.indexOf('"a.raw"', at + 1)) bytes[at + 1]! ^= 1
  writeFileSync(path, bytes)
  t.same(await contentOf(directory), { images: 0, records: objects, damaged: 1 })
})

t.test(`pages of garbage are left out, or refused with what to do (SEED=${seed})`, async t => {
  const random = seeded(seed)
  const directory = await abandoned(t.testdir())
  const path = join(directory, 'data.mdb')
  const kept = `${path}.kept`
  copyFileSync(path, kept)
  const sizeBytes = statSync(path).size
  let refused = 0
  for (let run = 0; run < 4; run++) {
    const bytes = readFileSync(kept)
    for (let k = 0; k < 3000; k++) bytes[between(random, 0, sizeBytes)] = between(random, 0, 256)
    writeFileSync(path, bytes)
    rmSync(join(directory, 'CLEAN'), { force: true })
    try {
      t.ok((await contentOf(directory)).records <= objects)
    } catch (error) {
      t.match(error, { code: 'index-failed', message: /remove .* to start with an empty cache/ })
      refused++
    }
  }
  truncateSync(path, 3 * 4096)
  rmSync(join(directory, 'CLEAN'), { force: true })
  t.throws(() => new IndexDatabase(directory), { code: 'index-failed', message: /remove / }, 'a file cut off')
  t.comment(`${refused} of 4 refused`)
})
