/** Superblocks of trees: each field at its bound is taken, and one more is refused with a reason. */
import t from 'tap'
import { saltBytesMax, treeBlockBytesMax, treeBlockBytesMin } from '../../../src/origin/sealed/limits.ts'
import { formatSuperblock, parseSuperblock, type TreeParameters } from '../../../src/origin/sealed/superblock.ts'

const usual: TreeParameters = {
  hashType: 1,
  algorithm: 'sha256',
  dataBlockBytes: 4096,
  hashBlockBytes: 4096,
  dataBlocks: 1000,
  salt: 'abcd',
}
const uuid = '00'.repeat(16)

/** A superblock with a number in the place of a field. */
function changed(at: number, value: number | bigint): Buffer {
  const bytes = formatSuperblock(usual, uuid)
  if (typeof value === 'bigint') bytes.writeBigUInt64LE(value, at)
  else if (at === 80) bytes.writeUInt16LE(value, at)
  else bytes.writeUInt32LE(value, at)
  return bytes
}

t.test('what is written is read', async t => {
  for (const parameters of [
    usual,
    { ...usual, algorithm: 'sha512', hashType: 0, salt: '' },
    { ...usual, dataBlockBytes: treeBlockBytesMin, hashBlockBytes: treeBlockBytesMax, salt: 'ef'.repeat(saltBytesMax) },
  ] as const) {
    t.same(parseSuperblock(formatSuperblock(parameters, uuid), 'tree'), parameters)
  }
})

const blocksMax = BigInt(Math.floor(Number.MAX_SAFE_INTEGER / usual.dataBlockBytes))
for (const [what, at, right, wrong] of [
  ['salt', 80, saltBytesMax, saltBytesMax + 1],
  ['data block', 64, treeBlockBytesMax, 2 * treeBlockBytesMax],
  ['data block', 64, treeBlockBytesMin, treeBlockBytesMin / 2],
  ['data block', 64, 1024, 1025],
  ['hash block', 68, treeBlockBytesMax, 2 * treeBlockBytesMax],
  ['hash block', 68, treeBlockBytesMin, treeBlockBytesMin / 2],
  ['hash block', 68, 1024, 0],
  ['number of blocks', 72, 1n, 0n],
  ['number of blocks', 72, blocksMax, blocksMax + 1n],
] as const) {
  t.test(`a ${what} of ${right} is taken, and one of ${wrong} is not`, async t => {
    t.ok(parseSuperblock(changed(at, right), 'tree'))
    t.throws(() => parseSuperblock(changed(at, wrong), 'tree'), { code: 'origin-protocol', message: /proves nothing/ })
  })
}

t.test('other versions, hash types and algorithms are not supported', async t => {
  const named = formatSuperblock(usual, uuid)
  named.write('sha1\0\0', 32, 'latin1')
  for (const bytes of [changed(8, 2), changed(8, 0), changed(12, 2), named]) {
    t.throws(() => parseSuperblock(bytes, 'tree'), { code: 'origin-unsupported' })
  }
  t.throws(() => parseSuperblock(formatSuperblock(usual, uuid).subarray(0, 511), 'tree'), { code: 'origin-protocol' })
})
