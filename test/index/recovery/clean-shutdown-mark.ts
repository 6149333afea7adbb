import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

const image = identify({ origin: 'file:///parents', key: 'a', sizeBytes: 5_000_000, validator: 'v', modifiedMs: 0 })

async function filled(directory: string): Promise<string> {
  const index = new IndexDatabase(directory)
  await index.putImage({ image, nodeId: 2n ** 40n })
  const sums = Uint32Array.from({ length: 64 }, (_, k) => k)
  const entries = [0, 1].map(object => ({ imageId: image.id, object, blocks: () => 0xffffn, zero: 1n, sums }))
  await index.record(entries)
  await index.close()
  return join(directory, 'data.mdb')
}

t.test(`a file that changed between two clean runs is refused, wherever the bit is (SEED=${seed})`, async t => {
  const random = seeded(seed)
  const path = await filled(t.testdir())
  const good = readFileSync(path)
  const mark = readFileSync(join(path, '..', 'CLEAN'))
  for (let k = 0; k < 200; k++) {
    const bad = Buffer.from(good)
    bad[between(random, 0, bad.length)]! ^= 1 << between(random, 0, 8)
    writeFileSync(path, bad)
    writeFileSync(join(path, '..', 'CLEAN'), mark)
    t.throws(() => new IndexDatabase(join(path, '..')), { code: 'index-failed', message: /remove .* to start/ })
  }
  writeFileSync(path, good.subarray(0, good.length - 4096))
  t.throws(() => new IndexDatabase(join(path, '..')), { code: 'index-failed' })
  writeFileSync(path, good)
  const index = new IndexDatabase(join(path, '..'))
  t.equal(index.images().length, 1)
  await index.close()
})

t.test('the mark is there after a clean stop only', async t => {
  const path = await filled(t.testdir())
  const markPath = join(path, '..', 'CLEAN')
  t.match(readFileSync(markPath, 'utf8'), new RegExp(`^${statSync(path).size} \\d+\n$`))
  const index = new IndexDatabase(join(path, '..'))
  t.equal(existsSync(markPath), false)
  await index.close()
  t.equal(existsSync(markPath), true)
})
