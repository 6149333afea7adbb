/**
 * A new version takes from the older one what it has: at the same place, at another, and nothing that is wrong.
 */
import { closeSync, openSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import type { OriginReader } from '../../../src/native/origin-reader.ts'
import { ReaderTable } from '../../../src/origin/contract/native-read-sources.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { FreshStretches } from '../../../src/origin/sealed/fresh-stretches.ts'
import { stretchBytes, stretchesMax } from '../../../src/origin/sealed/limits.ts'
import { OriginSeals } from '../../../src/origin/sealed/origin-seals.ts'
import type { SealKeeper, SealRecord } from '../../../src/origin/sealed/seal.ts'
import type { KeptTree } from '../../../src/origin/sealed/tree-runs.ts'
import type { HeldVersions } from '../../../src/origin/sealed/version-delta.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { FakePermitTables } from '../../fixtures/fake-permits.ts'
import { freeGrant } from '../../fixtures/free-grant.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { noVeritysetup, seal } from '../../fixtures/sealed-images.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const addon = loadAddon()
const signal = new AbortController().signal
const MiB = 1024 * 1024
const sizeBytes = 48 * MiB
const before = Buffer.from(sampleBytes({ seed: 31, sizeBytes, dataShare: 1 }, 0, sizeBytes))

/** Seals and trees in memory. */
function keeperInMemory(): SealKeeper {
  const records = new Map<string, SealRecord>()
  const trees = new Map<string, Buffer>()
  return {
    record: imageId => records.get(imageId) ?? null,
    putRecord: async ({ id }, record) => void records.set(id, record),
    tree: (imageId, bytes): KeptTree => {
      const kept = trees.get(imageId) ?? Buffer.alloc(bytes)
      trees.set(imageId, kept)
      return {
        read: async (offset, target) => kept.copy(target, 0, offset, offset + target.length) === target.length,
        write: async (offset, bytes) => void kept.set(bytes, offset),
      }
    },
  }
}

function publish(directory: string, bytes: Buffer, salt: string, second: number): void {
  const [image, tree] = [join(directory, 'a.raw'), join(directory, 'a.raw.verity')]
  writeFileSync(image, bytes)
  writeFileSync(tree, '')
  seal(image, tree, { salt })
  for (const path of [image, tree]) utimesSync(path, second, second)
}

/**
 * Reads all of the image, then replaces it by `after`, and reads that.
 * @param reads offsets of the new version at which 64 KiB are read; by default it is read whole
 */
async function upgraded(
  t: Test,
  after: Buffer,
  salts: readonly [string, string],
  held: Partial<HeldVersions> = {},
  reads: readonly number[] | null = null,
) {
  const directory = t.testdir()
  const url = pathToFileURL(directory).href
  const inner = new FileOrigin(url, noHoles)
  let fetched = 0
  let treeBytes = 0
  const counting = Object.assign(Object.create(inner) as typeof inner, {
    url: inner.url,
    read: (...[image, offset, target, options]: Parameters<typeof inner.read>) => {
      if (image.key === 'a.raw') fetched += target.length
      else treeBytes += target.length
      return inner.read(image, offset, target, options)
    },
    lookup: (...call: Parameters<typeof inner.lookup>) => inner.lookup(...call),
    close: () => inner.close(),
  })
  const logger = keepingLogger()
  const tables = new FakePermitTables()
  const proofs = {
    ...addon,
    createUnitPermits: (bytes: number, units: number) => tables.createUnitPermits(bytes, units),
  }
  const seals = new OriginSeals({ url, proofs, logger, onWrong: () => {} })
  const readers = new ReaderTable(8, freeGrant)
  const older: Image[] = []
  seals.keepIn(keeperInMemory(), {
    olderThan: image => older.filter(({ id }) => id !== image.id),
    holds: () => true,
    read: async (_, offset, target) => before.copy(target, 0, offset, offset + target.length) === target.length,
    ...held,
  })
  const options = { verity: 'require', rootHash: null, certificates: [], images: new Map() } as const
  const origin = seals.around(counting, options, readers)
  t.teardown(() => origin.close())
  const readAll = async () => {
    const image = identify(await origin.lookup('a.raw', { signal }))
    const bytes = Buffer.alloc(image.sizeBytes)
    for (let at = 0; at < bytes.length; at += MiB) {
      await origin.read(image, at, bytes.subarray(at, at + MiB), { signal })
    }
    return { image, bytes }
  }
  publish(directory, before, salts[0], 1_600_000_000)
  const first = await readAll()
  t.ok(before.equals(first.bytes))
  older.push(first.image)
  publish(directory, after, salts[1], 1_600_000_100)
  fetched = treeBytes = 0
  const counts = () => ({ fetched, treeBytes, wrong: seals.counters.blocks })
  if (reads === null) {
    const { image, bytes } = await readAll()
    t.ok(after.equals(bytes), 'every byte is that of the new version')
    return { seals, image, readers, tables, ...counts() }
  }
  const image = identify(await origin.lookup('a.raw', { signal }))
  const target = Buffer.alloc(64 * 1024)
  for (const offset of reads) {
    await origin.read(image, offset, target, { signal })
    t.ok(target.equals(after.subarray(offset, offset + target.length)), `at ${offset}`)
  }
  return { seals, image, readers, tables, ...counts() }
}

/** An upgrade: single blocks and stretches changed, some of it moved by a block, some appended. */
function changed(): { after: Buffer; changedBytes: number } {
  const after = Buffer.concat([before, Buffer.from(sampleBytes({ seed: 5, sizeBytes: MiB, dataShare: 1 }, 0, MiB))])
  let changedBytes = MiB
  for (const block of [3, 700, 701, 5000]) {
    after[block * 4096 + 17]! ^= 1
    changedBytes += 4096
  }
  after.set(sampleBytes({ seed: 6, sizeBytes: 2 * MiB, dataShare: 1 }, 0, 2 * MiB), 20 * MiB)
  changedBytes += 2 * MiB
  // What lay at 30 MiB lies one block further on.
  before.copy(after, 30 * MiB + 4096, 30 * MiB, 34 * MiB)
  before.copy(after, 30 * MiB, 34 * MiB, 34 * MiB + 4096)
  return { after, changedBytes }
}

t.test('a full read of the new version costs what changed', { skip: noVeritysetup }, async t => {
  const { after, changedBytes } = changed()
  const { fetched, treeBytes, wrong, seals, image } = await upgraded(t, after, ['abcd', 'abcd'])
  t.equal(wrong, 0)
  t.equal(fetched, changedBytes, 'blocks')
  const share = (fetched + treeBytes) / changedBytes
  t.ok(share < 1.1, `${share} of the changed bytes, with ${treeBytes} bytes of the tree`)
  const cost = (await seals.compare(image, { signal }))?.cost
  t.match(cost, { changedBytes, movedBytes: 4 * MiB + 4096 })
})

t.test('a read that jumps fetches the leaves that it needs', { skip: noVeritysetup }, async t => {
  const after = Buffer.from(before)
  // Every leaf of the tree is another: 96 of them, in three runs.
  for (let at = 0; at < after.length; at += 128 * 4096) after[at]! ^= 1
  const jumps = [40 * MiB, 3 * MiB, 20 * MiB, 20 * MiB + 65_536, 30 * MiB]
  const { seals, image, fetched, treeBytes } = await upgraded(t, after, ['abcd', 'abcd'], {}, jumps)
  t.equal(fetched, 4 * 4096, 'of each read of a changed block that block')
  // A superblock, the block above the leaves, four leaves.
  t.ok(treeBytes <= 512 + 2 * 4096 + 4 * 4096, `${treeBytes} bytes of the tree`)
  const delta = (await seals.prepare(image, { signal }))?.delta
  t.equal(await delta?.isKnown(3 * MiB, 65_536, { signal }), true)
  t.equal(await delta?.isKnown(10 * MiB, 65_536, { signal }), false, 'nobody has asked for it')
  await delta?.load(10 * MiB, 65_536, { signal })
  t.equal(await delta?.isKnown(10 * MiB, 65_536, { signal }), true)
})

t.test('session threads may read what the older version has nothing of', { skip: noVeritysetup }, async t => {
  const { after } = changed()
  // The older version has lost its third MiB.
  const holds = (_: string, offset: number) => offset < 2 * MiB || offset >= 3 * MiB
  const jumps = [0, 2 * MiB, 19.5 * MiB, 20 * MiB, 48 * MiB]
  const { seals, image, readers, tables } = await upgraded(t, after, ['abcd', 'abcd'], { holds }, jumps)
  const stretches = () => tables.made[0]!.permitted
  const isIn = (stretch: number, fromMiB: number, toMiB: number) => stretch >= fromMiB * 16 && stretch < toMiB * 16
  await until(() => stretches().some(stretch => isIn(stretch, 48, 49)), patienceMs, 'a look at the last read')
  t.same(
    stretches().filter(stretch => !isIn(stretch, 2, 3) && !isIn(stretch, 20, 22) && !isIn(stretch, 48, 49)),
    [],
    'nothing that is held',
  )
  for (const [fromMiB, toMiB] of [
    [2, 2.5],
    [20, 20.5],
    [48, 48.5],
  ] as const) {
    const seen = stretches().filter(stretch => isIn(stretch, fromMiB, toMiB))
    t.equal(seen.length, 8, `all of the range around the read at ${fromMiB} MiB`)
  }
  const fd = openSync('/dev/zero', 'r')
  t.teardown(() => closeSync(fd))
  readers.set(image.id, addon.createFileReaders().open(fd, 'v')!)
  t.ok(readers.get(image.id), 'there is a reader while the upgrade goes on')
  seals.endDelta(image)
  t.ok(readers.get(image.id))
})

t.test('an image with too many stretches has no permits, and goes by TypeScript', async t => {
  const tables = new FakePermitTables()
  const reader = {} as OriginReader
  t.ok(new FreshStretches(stretchesMax * stretchBytes, tables).guard(reader))
  const large = new FreshStretches(stretchesMax * stretchBytes + 1, tables)
  t.equal(large.guard(reader), null)
  t.same([...large.unseen(0, 1)], [])
  large.compared([{ offset: 0, length: stretchBytes, source: null }])
  t.equal(tables.made.length, 1)
})

t.test('with another salt it is an ordinary version', { skip: noVeritysetup }, async t => {
  const { after } = changed()
  const { fetched, seals, image } = await upgraded(t, after, ['abcd', 'abce'])
  t.equal(fetched, after.length)
  t.match(seals.sealOf(image), { deltaComplaint: /another salt/ })
  t.equal(await seals.compare(image, { signal }), null)
})

t.test('what the older version has lost, or has wrong, is fetched', { skip: noVeritysetup }, async t => {
  const { after } = changed()
  const lost = await upgraded(t, after, ['ab', 'ab'], { read: async () => false })
  t.equal(lost.fetched, after.length)
  const rotten = await upgraded(t, after, ['ab', 'ab'], {
    read: async (_, offset, target) => {
      before.copy(target, 0, offset, offset + target.length)
      target[0]! ^= 1
      return true
    },
  })
  t.equal(rotten.wrong, 0, 'nothing counts against the origin')
  t.ok(rotten.fetched >= after.length)
})
