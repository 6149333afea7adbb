/** Looks of a sealed origin at its origin: how often it asks for a tree, and in how many reads. */
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import type { ReadOptions } from '../../../src/origin/contract/origin.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { unsealedMs } from '../../../src/origin/sealed/limits.ts'
import { noKeeper } from '../../../src/origin/sealed/seal.ts'
import { SealedOrigin } from '../../../src/origin/sealed/sealed-origin.ts'
import { nothingHeld } from '../../../src/origin/sealed/version-delta.ts'
import { WrongBlocks } from '../../../src/origin/sealed/wrong-blocks.ts'
import { ForwardingOrigin } from '../../../src/origin/wrappers/forwarding-origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { noVeritysetup, seal } from '../../fixtures/sealed-images.ts'

const addon = loadAddon()
const signal = new AbortController().signal
const sizeBytes = 3 * 1024 * 1024

/** Old enough to be a version. */
function put(path: string, bytes: Uint8Array): void {
  writeFileSync(path, bytes)
  utimesSync(path, 1_600_000_000, 1_600_000_000)
}

/** An origin that notes what it is asked for. */
class NotingOrigin extends ForwardingOrigin {
  readonly asked: string[] = []

  override lookup(key: string, options: ReadOptions) {
    this.asked.push(`lookup ${key}`)
    return super.lookup(key, options)
  }

  override read(image: Image, offset: number, target: Uint8Array, options: ReadOptions) {
    this.asked.push(`read ${image.key}`)
    return super.read(image, offset, target, options)
  }
}

t.test('an image without a proof is judged again after a minute, and not before', { skip: noVeritysetup }, async t => {
  const directory = t.testdir()
  const [path, tree] = [join(directory, 'a.raw'), join(directory, 'a.raw.verity')]
  const bytes = Buffer.from(sampleBytes({ seed: 23, sizeBytes, dataShare: 0.7 }, 0, sizeBytes))
  put(path, bytes)
  const rootHash = seal(path, tree)
  const whole = readFileSync(tree)
  rmSync(tree)
  const url = pathToFileURL(directory).href
  const inner = new NotingOrigin(new FileOrigin(url, noHoles))
  const clock = { nowMs: 0 }
  const logger = keepingLogger()
  const wrongBlocks = new WrongBlocks(url, logger, () => {})
  const parts = { proofs: addon, keeper: noKeeper, held: nothingHeld, logger, wrongBlocks, readers: null }
  const options = { verity: 'require', rootHash, certificates: [], images: new Map() } as const
  const origin = new SealedOrigin(inner, { ...parts, options, now: () => clock.nowMs })
  t.teardown(() => origin.close())
  const image = identify(await inner.lookup('a.raw', { signal }))
  const target = Buffer.alloc(4096)
  const looks = () => inner.asked.filter(each => each === 'lookup a.raw.verity').length
  for (const [nowMs, count] of [
    [0, 1],
    [unsealedMs - 1, 1],
    [unsealedMs, 2],
  ] as const) {
    clock.nowMs = nowMs
    await t.rejects(origin.read(image, 0, target, { signal }), { code: 'image-unproven' })
    t.equal(looks(), count, `at ${nowMs} ms`)
  }
  put(tree, whole)
  clock.nowMs += unsealedMs
  inner.asked.length = 0
  const all = Buffer.alloc(sizeBytes)
  await origin.read(image, 0, all, { signal })
  t.ok(bytes.equals(all))
  const treeReads = inner.asked.filter(each => each === 'read a.raw.verity').length
  t.equal(treeReads, 3, 'superblock, top, and all six leaves together')
})
