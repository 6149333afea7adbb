/** Limits of sealed images, each exceeded by one. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import type { Origin } from '../../../src/origin/contract/origin.ts'
import type { HashTree } from '../../../src/origin/sealed/hash-tree.ts'
import {
  damagedBlocksMax,
  movedLeavesMax,
  rootHashFileBytesMax,
  sealsMax,
  signatureFileBytesMax,
} from '../../../src/origin/sealed/limits.ts'
import { MovedLeaves } from '../../../src/origin/sealed/moved-leaves.ts'
import { OriginSeals } from '../../../src/origin/sealed/origin-seals.ts'
import { SealFinder } from '../../../src/origin/sealed/seal-finder.ts'
import { formatSuperblock, type TreeParameters } from '../../../src/origin/sealed/superblock.ts'
import { treeLayoutOf } from '../../../src/origin/sealed/tree-layout.ts'
import { TreeRuns } from '../../../src/origin/sealed/tree-runs.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const addon = loadAddon()
const signal = new AbortController().signal
const url = 'memory://limits/'
const shape = { hashType: 1, algorithm: 'sha256', salt: '', dataBlockBytes: 512, hashBlockBytes: 512 } as const

/** An origin of files in memory, and the keys that were read. */
function originOf(files: (key: string) => Buffer | null) {
  const read: string[] = []
  const origin = {
    url,
    lookup: async (key: string) => {
      const bytes = files(key)
      if (!bytes) throw new CacheError('not-found', key)
      return { origin: url, key, sizeBytes: bytes.length, validator: 'v', modifiedMs: 0 }
    },
    read: async ({ key }: { readonly key: string }, offset: number, target: Uint8Array) => {
      read.push(key)
      files(key)!.copy(target, 0, offset, offset + target.length)
    },
    close: async () => {},
  } as unknown as Origin
  return { origin, read }
}

const superblock = (parameters: TreeParameters) => formatSuperblock(parameters, '00'.repeat(16))

t.test('seals in memory: of one image more, the least recently read one is found again', async t => {
  const block = Buffer.alloc(512)
  const tree = superblock({ ...shape, dataBlocks: 1 })
  const { origin: inner, read } = originOf(key => (key.endsWith('.verity') ? tree : /^\d+$/.test(key) ? block : null))
  const seals = new OriginSeals({ url, proofs: addon, logger: keepingLogger(), onWrong: () => {} })
  const options = { verity: 'require', rootHash: null, certificates: [], images: new Map() } as const
  const origin = seals.around(inner, options, null)
  const imageOf = async (key: number) => identify(await origin.lookup(String(key), { signal }))
  const readOne = async (key: number) => await origin.read(await imageOf(key), 0, Buffer.alloc(512), { signal })
  for (let key = 0; key < sealsMax; key++) await readOne(key)
  const isProven = async (key: number) => seals.isProven((await imageOf(key)).id)
  t.same([await isProven(0), await isProven(sealsMax - 1)], [true, true], 'as many as there may be')
  await readOne(sealsMax)
  t.same([await isProven(0), await isProven(1), await isProven(sealsMax)], [false, true, true])
  read.length = 0
  await readOne(0)
  t.same(read, ['0.verity', '0', '0'], 'its tree, the block that is pinned, and the block that is read')
  await origin.close()
})

t.test('blocks at other offsets: one more than fit is fetched, and counted', async t => {
  const digestsPerLeaf = 128
  const dataBlocks = movedLeavesMax + 1
  const tree = {
    layout: { digestBytes: 32 },
    parameters: { dataBlocks, dataBlockBytes: 4096 },
    leafSpanBytes: digestsPerLeaf * 4096,
    localLeaf: async (leaf: number) => {
      const bytes = Buffer.alloc(digestsPerLeaf * 32)
      for (let k = 0; k < digestsPerLeaf; k++) digestOf(leaf * digestsPerLeaf + k).copy(bytes, k * 32)
      return bytes
    },
  } as unknown as HashTree
  const moved = new MovedLeaves(dataBlocks)
  await moved.addAll(tree, { signal })
  t.equal(moved.leftOut, 1)
  for (const block of [0, 1, movedLeavesMax - 1]) t.equal(moved.find(digestOf(block), 0), block)
  t.equal(moved.find(digestOf(movedLeavesMax), 0), null)
})

/** A digest that no other block has. */
function digestOf(block: number): Buffer {
  const digest = Buffer.alloc(32)
  digest.writeUInt32LE(Math.imul(block, 2_654_435_761) >>> 0)
  digest.writeUInt32LE(block, 4)
  return digest
}

t.test('damaged blocks of a kept tree: of one more, the oldest counts again', async t => {
  const parameters = { ...shape, dataBlocks: 16 * (damagedBlocksMax + 1) }
  const damaged: number[] = []
  const runs = new TreeRuns(parameters, treeLayoutOf(parameters), {
    proofs: addon,
    kept: { read: async (_, target) => target.fill(7).length > 0, write: async () => {} },
    alike: [],
    fetch: async () => void t.fail('nothing is fetched'),
    onWrong: () => void t.fail('the origin is not asked'),
    onKeptWrong: (_, block) => void damaged.push(block),
    pause: async () => {},
  })
  const look = (first: number) => runs.load({ level: 0, first, count: 1, wanted: Buffer.alloc(32) }, { signal }, true)
  const all = Array.from({ length: damagedBlocksMax + 1 }, (_, k) => k)
  for (const block of all) await look(block)
  t.same(damaged, all, 'each')
  await look(damagedBlocksMax)
  t.equal(damaged.length, all.length, 'once')
  await look(0)
  t.equal(damaged.length, all.length + 1)
})

/** The seal of an image with these files beside it. */
async function found(files: Readonly<Record<string, Buffer>>, certificates: readonly string[] = []) {
  const all: Record<string, Buffer> = { a: Buffer.alloc(512), ...files }
  all['a.verity'] = superblock({ ...shape, dataBlocks: 1 })
  const { origin } = originOf(key => all[key] ?? null)
  const hash = (_: TreeParameters, block: Buffer) => addon.hashBlocks(hashing, block, block.length, 1)
  const finder = new SealFinder({ origin, hash, signatureComplaint: () => '' })
  const image = identify(await origin.lookup('a', { signal }))
  return await finder.find(image, { verity: 'require', rootHash: null, certificates }, { signal })
}

const hashing = { algorithm: 'sha256', salt: Buffer.alloc(0), isSaltBehind: false } as const

t.test('files with a root hash and with its signature: one byte more than fits is refused', async t => {
  const rootHash = 'ab'.repeat(32)
  const padded = (bytes: number) => Buffer.from(rootHash.padEnd(bytes))
  t.match(await found({ 'a.roothash': padded(rootHashFileBytesMax) }), { rootHash, trust: 'pinned' })
  await t.rejects(found({ 'a.roothash': padded(rootHashFileBytesMax + 1) }), {
    code: 'image-unproven',
    message: /a\.roothash has 4097 bytes, over 4096/,
  })
  const signed = (bytes: number) =>
    found({ 'a.roothash': padded(64), 'a.roothash.p7s': Buffer.alloc(bytes) }, ['certificate'])
  t.match(await signed(signatureFileBytesMax), { rootHash, trust: 'signed' })
  await t.rejects(signed(signatureFileBytesMax + 1), {
    code: 'image-unproven',
    message: /a\.roothash\.p7s has 262145 bytes, over 262144/,
  })
})
