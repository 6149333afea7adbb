/**
 * Blocks on their way into a data file: reserved, written, published, and given up where the disk or the ceiling says
 * no.
 */
import t from 'tap'
import { Geometry, identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type { IndexDatabase } from '../../../src/index/index-database.ts'
import { loadAddon, type StoreFile } from '../../../src/native/addon.ts'
import type { TakenSource } from '../../../src/origin/sealed/taken-blocks.ts'
import { Capacity, overheadBytesPerEntry } from '../../../src/store/disk/capacity.ts'
import { DiskHealth } from '../../../src/store/disk/disk-health.ts'
import { diskTimeoutsDefault } from '../../../src/store/disk/disk-timeouts.ts'
import { BlockBitmap } from '../../../src/store/image/block-bitmap.ts'
import { BlockWriter } from '../../../src/store/image/block-writer.ts'
import { ClaimTable } from '../../../src/store/image/claim-table.ts'
import { Committer } from '../../../src/store/image/committer.ts'
import { ResidencyTable } from '../../../src/store/image/residency-table.ts'
import type { StoreContext } from '../../../src/store/image/store-context.ts'
import { FakeDisk } from '../../fixtures/fake-disk.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const addon = loadAddon()
const blockBytes = 4096
const image = identify({ origin: 'memory://', key: 'a', sizeBytes: 200 * blockBytes, validator: '1', modifiedMs: 0 })

/** Notes what is written, and lets some of it fail. */
function watchWrites(file: StoreFile, failures: ReadonlyMap<number, () => void>) {
  const written: string[] = []
  const clones: (readonly number[] | null)[] = []
  /** Do they leave nothing in the page cache? */
  const direct: boolean[] = []
  const { writeBlocks } = file
  file.writeBlocks = async (offsets, extents, isDirect, given) => {
    direct.push(isDirect === true)
    clones.push(given?.offsets ?? null)
    const failing = offsets.findIndex(offset => failures.has(offset))
    const count = failing < 0 ? offsets.length : failing
    for (const [k, { length }] of extents.entries()) written.push(`${offsets[k]}+${length}`)
    const landed = await writeBlocks.call(file, offsets.slice(0, count), extents.slice(0, count))
    try {
      failures.get(offsets[failing]!)?.()
      return failing < 0 ? landed : await writeBlocks.call(file, offsets, extents)
    } catch (error) {
      return { ...landed, error: error as Error }
    }
  }
  return { written, clones, direct }
}

/** A writer on a disk in memory; `failures` are the writes that fail, by their offset, and how. */
async function writing(failures = new Map<number, () => void>(), source: TakenSource | null = null) {
  const disk = new FakeDisk(() => 0.5)
  const file = await disk.open(image.id, image.sizeBytes, blockBytes)
  const { written, clones, direct } = watchWrites(file, failures)
  const after = () => () => {}
  const health = new DiskHealth({
    ...{ probe: async () => {}, logger: silentLogger, now: () => 0, after, onChange: () => {}, readingMs: () => 0 },
    timing: diskTimeoutsDefault,
  })
  const recorded: { readonly object: number; readonly blocks: () => bigint; readonly sums: Uint32Array }[] = []
  const index = { record: async (entries: typeof recorded) => void recorded.push(...entries) }
  const timing = { batchMsMax: 3_600_000, batchBytesMax: 1e9 }
  const committer = new Committer({
    ...{ index: index as unknown as IndexDatabase, health, logger: silentLogger, timing, onCommitted: () => {} },
  })
  const capacity = new Capacity(64 * 2 ** 20)
  const residency = new ResidencyTable(file.table, new ClaimTable(file.claims))
  const masks = { held: new BlockBitmap(), zero: new BlockBitmap(), damaged: new BlockBitmap() }
  const punched: string[] = []
  const target = {
    ...{
      imageId: image.id,
      image,
      geometry: new Geometry(image.sizeBytes, blockBytes),
      file,
      residency,
      failedSyncs: 0,
    },
    ...{ lockKey: String, sync: async () => {}, abandon: async () => {} },
    punchIfAlone: async (object: number, { first, count }: { first: number; count: number }) => {
      punched.push(`${object}: ${first}+${count}`)
      throw new Error('the disk that could not be written')
    },
  }
  let writtenBytes = 0
  const taken: (readonly [number, number])[] = []
  const countWritten = (bytes: number) => void (writtenBytes += bytes)
  const parts = {
    capacity,
    committer,
    health,
    logger: silentLogger,
    written: countWritten,
    takenOf: () => source,
    fileOf: () => file,
    onTaken: (reflinkedBytes: number, copiedBytes: number) => void taken.push([reflinkedBytes, copiedBytes]),
  } as Partial<StoreContext> as StoreContext
  const writer = new BlockWriter(target, masks, parts)
  const counted = () => writtenBytes
  return {
    writer,
    written,
    recorded,
    capacity,
    residency,
    masks,
    punched,
    health,
    committer,
    target,
    counted,
    taken,
    clones,
    direct,
  }
}

const write = async (writer: BlockWriter, object: number, first: number, bytes: Uint8Array, toDisk = false) =>
  (await writer.writeExtents([{ object, first, bytes }], toDisk))[0]

const filled = (blocks: number, byte = 7) => Buffer.alloc(blocks * blockBytes, byte)

t.test('what was written is published at once, counts for the ceiling, and is recorded with its checksums', async t => {
  const { writer, written, recorded, capacity, residency, masks, committer, counted } = await writing()
  t.equal(await write(writer, 1, 3, filled(2), false), 'landed')
  t.same(written, [`${67 * blockBytes}+8192`])
  t.equal(counted(), 2 * blockBytes, 'bytes that the disk wears by')
  t.equal(residency.resident(1), 0b11000n)
  t.equal(masks.held.get(1), 0b11000n)
  t.equal(capacity.usedBytes, 2 * blockBytes + overheadBytesPerEntry)
  t.same(recorded, [], 'not before a sync')
  await committer.flush()
  t.equal(recorded.length, 1)
  t.same([recorded[0]!.object, recorded[0]!.blocks()], [1, 0b11000n])
  const sum = addon.crc32c(filled(1))
  t.same([...recorded[0]!.sums.subarray(2, 6)], [0, sum, sum, 0])
})

t.test('blocks that are held are not written again', async t => {
  const { writer, written, capacity, masks, committer } = await writing()
  masks.held.add(0, 0b0110n)
  t.equal(await write(writer, 0, 1, filled(2), false), 'held-already')
  t.equal(capacity.usedBytes, 0)
  t.equal(await write(writer, 0, 0, filled(4), false), 'landed')
  t.same(written, ['0+4096', `${3 * blockBytes}+4096`])
  await committer.flush()
})

t.test('blocks of zeros are held and take no space', async t => {
  const { writer, capacity, masks, committer } = await writing()
  const bytes = Buffer.concat([filled(1), filled(2, 0)])
  t.equal(await write(writer, 0, 5, bytes, false), 'landed')
  t.equal(masks.held.get(0), 0b1110_0000n)
  t.equal(masks.zero.get(0), 0b1100_0000n)
  t.equal(capacity.usedBytes, blockBytes + overheadBytesPerEntry)
  await committer.flush()
})

t.test('blocks that an older version has are offered to the file system with their places there', async t => {
  const source = {
    imageId: 'older',
    sourceOf: (offset: number, length: number) => (length === blockBytes && offset !== 8192 ? offset + 65_536 : null),
  }
  const { writer, clones, taken, committer } = await writing(new Map(), source)
  t.equal(await write(writer, 0, 1, filled(3), false), 'landed')
  t.same(clones, [[65_536 + 4096, -1, 65_536 + 12_288]])
  t.same(taken, [[0, 8192]], 'a disk in memory copies')
  const { writer: other, clones: none, committer: last } = await writing()
  await write(other, 0, 0, filled(1), false)
  t.same(none, [null])
  await Promise.all([committer.flush(), last.flush()])
})

t.test('over the ceiling nothing is written, and what waits for its record is committed to make room', async t => {
  const { writer, written, recorded, capacity, residency, masks, committer } = await writing()
  await write(writer, 0, 0, filled(1), false)
  while (capacity.reserve(blockBytes)) {} // Nothing else finds room.
  t.equal(await write(writer, 0, 1, filled(1), false), 'full')
  masks.damaged.add(0, 0b1n)
  await until(() => recorded.length === 1, patienceMs, 'the commit')
  t.equal(await write(writer, 0, 0, filled(1), false), 'full', 'nor is a block repaired')
  t.same([written.length, residency.resident(0), masks.held.get(0)], [1, 1n, 1n])
  await committer.flush()
})

t.test('on a disk that must not be written nothing is', async t => {
  const { writer, written, masks, health } = await writing()
  health.stalled('write', 1)
  t.equal(await write(writer, 0, 0, filled(1), false), 'failed')
  masks.held.add(0, 0b1n)
  masks.damaged.add(0, 0b1n)
  t.equal(await write(writer, 0, 0, filled(1), false), 'failed')
  t.same(written, [])
})

t.test('a write that fails leaves nothing: no reader gets it, no byte is counted, and the disk is blamed', async t => {
  const failure = () => {
    throw Object.assign(new Error('ENOSPC: no space left on device, pwrite'), { code: 'ENOSPC' })
  }
  const world = await writing(new Map([[2 * blockBytes, failure]]))
  const { writer, capacity, residency, masks, punched, health, committer } = world
  masks.held.add(0, 0b0010n)
  t.equal(await write(writer, 0, 0, filled(4), false), 'failed')
  t.equal(residency.resident(0), 0b0001n, 'the run before it has landed')
  t.equal(masks.held.get(0), 0b0011n)
  t.equal(capacity.usedBytes, blockBytes + overheadBytesPerEntry)
  t.same(punched, ['0: 2+2'], 'a half may be there')
  t.equal(health.state, 'degraded')
  await committer.flush()
})

t.test('a sync that failed meanwhile may have lost the bytes: they are not published', async t => {
  const world: Awaited<ReturnType<typeof writing>> = await writing(
    new Map([[0, () => void world.target.failedSyncs++]]),
  )
  const { writer, capacity, residency, masks, health } = world
  health.writeFailed = () => t.fail('the failed sync has been told already')
  t.equal(await write(writer, 0, 0, filled(1), false), 'failed')
  t.same([residency.resident(0), masks.held.get(0), capacity.usedBytes], [0n, 0n, 0])
})

t.test('damaged blocks are written in their place, where the kernel reads them', async t => {
  const { writer, written, recorded, capacity, residency, masks, committer } = await writing()
  masks.held.add(0, 0b1111n)
  masks.damaged.add(0, 0b0110n)
  t.equal(await write(writer, 0, 0, filled(4), true), 'landed')
  t.same(written, [`${blockBytes}+8192`])
  t.equal(masks.damaged.get(0), 0n)
  t.equal(residency.resident(0), 0b0110n)
  t.equal(capacity.usedBytes, overheadBytesPerEntry, 'their own bytes are counted already')
  await committer.flush()
  t.equal(recorded[0]!.blocks(), 0b0110n)
})

t.test('a repair that fails punches nothing: the kernel may be reading', async t => {
  const failure = () => {
    throw Object.assign(new Error('EIO: i/o error, pwrite'), { code: 'EIO' })
  }
  const { writer, capacity, residency, masks, punched } = await writing(new Map([[0, failure]]))
  masks.held.add(0, 0b1n)
  masks.damaged.add(0, 0b1n)
  t.equal(await write(writer, 0, 0, filled(1), false), 'failed')
  t.same([masks.damaged.get(0), residency.resident(0), capacity.usedBytes], [1n, 0n, 0])
  t.same(punched, [])
})

t.test('extents that are offered together are one write, and each has its outcome', async t => {
  const { writer, written, recorded, residency, masks, committer } = await writing()
  masks.held.add(2, 0b1n)
  const extents = [
    { object: 0, first: 5, bytes: filled(1) },
    { object: 2, first: 0, bytes: filled(1) },
    { object: 1, first: 63, bytes: filled(1, 0) },
    { object: 0, first: 9, bytes: filled(2, 8) },
  ]
  t.same(await writer.writeExtents(extents, false), ['landed', 'held-already', 'landed', 'landed'])
  t.same(written, [`${5 * blockBytes}+4096`, `${127 * blockBytes}+4096`, `${9 * blockBytes}+8192`])
  t.equal(residency.resident(0), 0b110_0010_0000n)
  t.equal(masks.zero.get(1), 1n << 63n)
  await committer.flush()
  const sums = (byte: number) => addon.crc32c(filled(1, byte))
  t.same(
    recorded.map(({ object, blocks }) => [object, blocks()]),
    [
      [0, 0b110_0010_0000n],
      [1, 1n << 63n],
    ],
    'one record an object',
  )
  t.same([recorded[0]!.sums[5], recorded[0]!.sums[10], recorded[1]!.sums[63]], [sums(7), sums(8), sums(0)])
})

t.test('the same blocks twice are written and counted once', async t => {
  const { writer, written, capacity, committer } = await writing()
  const twice = [
    { object: 0, first: 0, bytes: filled(2) },
    { object: 0, first: 1, bytes: filled(2) },
  ]
  t.same(await writer.writeExtents(twice, false), ['landed', 'landed'])
  t.same(written, ['0+8192', `${2 * blockBytes}+4096`])
  t.equal(capacity.usedBytes, 3 * blockBytes + 2 * overheadBytesPerEntry)
  t.same(await writer.writeExtents([twice[0]!, twice[0]!], false), ['held-already', 'held-already'])
  await committer.flush()
})

t.test('of extents that are offered together those before a failed one have landed, and no other', async t => {
  const failure = () => {
    throw Object.assign(new Error('EIO: i/o error, pwrite'), { code: 'EIO' })
  }
  const { writer, capacity, residency, punched, committer } = await writing(new Map([[64 * blockBytes, failure]]))
  const extents = [0, 1, 2].map(object => ({ object, first: 0, bytes: filled(1) }))
  t.same(await writer.writeExtents(extents, false), ['landed', 'failed', 'failed'])
  t.same([residency.resident(0), residency.resident(1), residency.resident(2)], [1n, 0n, 0n])
  t.same(punched, ['1: 0+1', '2: 0+1'])
  t.equal(capacity.usedBytes, blockBytes + overheadBytesPerEntry)
  await committer.flush()
})

t.test('a repair goes through the page cache, where the kernel reads; other writes go where they are told', async t => {
  const { writer, direct, masks, committer } = await writing()
  for (const [first, toDisk] of [
    [0, false],
    [1, true],
  ] as const) {
    await write(writer, 0, first, filled(1), toDisk)
  }
  t.same(direct, [false, true])
  masks.damaged.add(0, 1n)
  await write(writer, 0, 0, filled(1), true)
  t.same(direct, [false, true, false])
  await committer.flush()
})
