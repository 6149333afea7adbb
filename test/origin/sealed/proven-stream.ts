/** Sealed images that come from the front alone: what is passed on is proven, and the first wrong block ends the pass. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { MiB } from '../../../src/base/limits.ts'
import { LruMap } from '../../../src/base/lru-map.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { HashTree } from '../../../src/origin/sealed/hash-tree.ts'
import { ProvenStream } from '../../../src/origin/sealed/proven-stream.ts'
import { noTree } from '../../../src/origin/sealed/seal.ts'
import { treeLayoutOf } from '../../../src/origin/sealed/tree-layout.ts'
import { WrongBlocks } from '../../../src/origin/sealed/wrong-blocks.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { scriptedImage } from '../../fixtures/scripted-origin.ts'

const signal = new AbortController().signal
const blockBytes = 4096

/** A tree of one level, made here. */
function treeOf(bytes: Buffer): HashTree {
  const parameters = { hashType: 1, algorithm: 'sha256', salt: '' } as const
  const sizes = { dataBlockBytes: blockBytes, hashBlockBytes: 64 * 1024, dataBlocks: bytes.length / blockBytes }
  const digest = (block: Buffer) => createHash('sha256').update(block).digest()
  const leaf = Buffer.alloc(sizes.hashBlockBytes)
  for (let k = 0; k < sizes.dataBlocks; k++) {
    digest(bytes.subarray(k * blockBytes, (k + 1) * blockBytes)).copy(leaf, k * 32)
  }
  const whole = { ...parameters, ...sizes }
  const { offset } = treeLayoutOf(whole).levels[0]!
  return new HashTree(whole, digest(leaf), 0, {
    ...{ name: 'a', id: 'a', proofs: loadAddon(), upper: new LruMap(MiB), kept: noTree, alike: [] },
    fetch: async (at, target) => void leaf.copy(target, 0, at - offset),
    onWrong: () => {},
    onKeptWrong: () => {},
    pause: async () => {},
  })
}

function setUp(sizeBytes: number) {
  const bytes = Buffer.from(sampleBytes({ seed: 5, sizeBytes, dataShare: 0.9 }, 0, sizeBytes))
  const passed: Buffer[] = []
  const wrong = new WrongBlocks('http://far/', keepingLogger(), () => {})
  const take = async (part: Uint8Array) => void passed.push(Buffer.from(part))
  const image = scriptedImage('a', sizeBytes)
  const stream = new ProvenStream(image, treeOf(bytes), wrong, take, { signal })
  const send = async (all: Buffer, step = 100_000) => {
    for (let at = 0; at < all.length; at += step) await stream.take(all.subarray(at, at + step))
    await stream.end()
  }
  return { bytes, passed, wrong, send }
}

t.test('bytes that come in any parts are passed on, proven, in their order', async t => {
  const { bytes, passed, wrong, send } = setUp(2 * MiB + 3 * blockBytes)
  await send(bytes)
  t.ok(bytes.equals(Buffer.concat(passed)))
  t.equal(wrong.counters.blocks, 0)
})

t.test('the first wrong block ends the pass, and nothing of its piece is passed on', async t => {
  const { bytes, passed, wrong, send } = setUp(2 * MiB + 3 * blockBytes)
  const spoilt = Buffer.from(bytes)
  spoilt[MiB + 5]! ^= 1
  await t.rejects(send(spoilt), { code: 'image-corrupt' })
  t.ok(bytes.subarray(0, MiB).equals(Buffer.concat(passed)))
  t.match(wrong.counters, { blocks: 1, latest: { offset: MiB } })
})

t.test('a pass that goes on behind the end is an error', async t => {
  const { bytes, send } = setUp(3 * blockBytes)
  await t.rejects(send(Buffer.concat([bytes, Buffer.alloc(blockBytes)])), { code: 'image-corrupt' })
})
