/**
 * Proofs at the boundary to the addon: blocks of a data file, and reads of session threads.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadAddon } from '../../src/native/addon.ts'

const addon = loadAddon()
const hashing = { algorithm: 'sha256', salt: Buffer.from('abcd', 'hex'), isSaltBehind: false } as const
const digestOf = (block: Uint8Array) => createHash('sha256').update(hashing.salt).update(block).digest()

t.test('digests are those of the blocks with their salt, however many threads', async t => {
  const bytes = randomBytes(65 * 4096)
  const expected = Buffer.concat(
    Array.from({ length: 65 }, (_, k) => digestOf(bytes.subarray(k * 4096, (k + 1) * 4096))),
  )
  for (const threads of [1, 3, 256]) t.ok(expected.equals(await addon.hashBlocks(hashing, bytes, 4096, threads)))
  const behind = { ...hashing, algorithm: 'sha512', isSaltBehind: true } as const
  const digest = createHash('sha512').update(bytes.subarray(0, 4096)).update(hashing.salt).digest()
  t.ok(digest.equals(await addon.hashBlocks(behind, bytes.subarray(0, 4096), 4096, 1)))
  t.throws(() => addon.hashBlocks(hashing, bytes, 4095, 1), RangeError)
  t.throws(() => addon.hashBlocks({ ...hashing, algorithm: 'md5' as never }, bytes, 4096, 1), RangeError)
})

t.test('a block is right, wrong or unknown', async t => {
  const bytes = randomBytes(4 * 4096)
  const proof = addon.createTreeProof(hashing, { dataBlocks: 4, dataBlockBytes: 4096, digestsPerLeaf: 2 })
  const leaf = (k: number) =>
    Buffer.concat([0, 1].map(j => digestOf(bytes.subarray((k * 2 + j) * 4096, (k * 2 + j + 1) * 4096))))
  t.same(await proof.find(0, bytes), { proof: 'unknown', block: 0 })
  proof.put(0, leaf(0))
  t.ok(proof.leaf(0)?.length === 64 && proof.leaf(1) === null)
  t.same([proof.knows(0, 8192), proof.knows(0, 8193), proof.knows(4096, 4096)], [true, false, true])
  t.same(await proof.find(0, bytes.subarray(0, 8192)), { proof: 'right', block: 2 })
  t.same(await proof.find(0, bytes), { proof: 'unknown', block: 2 })
  proof.put(1, leaf(1))
  t.same(await proof.find(0, bytes), { proof: 'right', block: 4 })
  t.equal(proof.knows(0, bytes.length + 1), false, 'nothing is known behind the data')
  bytes[3 * 4096]! ^= 1
  t.same(await proof.find(4096, bytes.subarray(4096)), { proof: 'wrong', block: 3 })
  t.same(await proof.find(12_288, bytes.subarray(12_288, 12_289)), { proof: 'wrong', block: 3 }, 'a part is no block')
  t.match(await proof.find(1, bytes), { proof: 'unknown' })
  t.throws(() => proof.put(0, Buffer.alloc(63)), RangeError)
  t.throws(() => addon.createTreeProof(hashing, { dataBlocks: 0, dataBlockBytes: 4096, digestsPerLeaf: 2 }), RangeError)
})

t.test('a block of a data file is good when its tree says so, too', async t => {
  const engine = addon.createEngine({ storeThreads: 1 })
  const file = await engine.openFile(join(mkdtempSync(join(t.testdir(), 'x-')), 'a'), 2 * 4096, 4096)
  t.teardown(async () => {
    file.close()
    await engine.close()
  })
  const bytes = randomBytes(2 * 4096)
  const { sums } = await file.writeBlocks([0], [bytes])
  const all = new Uint32Array(64)
  all.set(sums)
  const proof = addon.createTreeProof(hashing, { dataBlocks: 2, dataBlockBytes: 4096, digestsPerLeaf: 2 })
  t.match(await file.verify(0, 3n, all, false, proof), { good: 3n }, 'without a leaf, checksums are all there is')
  proof.put(0, Buffer.concat([digestOf(bytes.subarray(0, 4096)), randomBytes(32)]))
  t.match(await file.verify(0, 3n, all, false, proof), { good: 1n })
  t.match(await file.verify(0, 3n, all, true, proof), { good: 1n })
  t.match(await file.verify(0, 3n, all, false, null), { good: 3n })
  t.throws(() => file.verify(0, 3n, all, false, {} as never), TypeError)
})
