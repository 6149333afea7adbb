/** Blocks of an older version, taken over in the background: first those that boots read, and none that is fetched. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { Geometry, type Image, identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { DeltaCopier, type DeltaCopierContext } from '../../../src/cache/operations/delta-copier.ts'
import { deltaMsMax, deltaQuietMs } from '../../../src/cache/operations/limits.ts'

const blockBytes = 4096
const sizeBytes = 256 * blockBytes
const url = 'memory://origin/'
const facts = { origin: url, key: 'a', sizeBytes, modifiedMs: 0 }
const older = identify({ ...facts, validator: 'old' })
const newer = identify({ ...facts, validator: 'new' })

interface Options {
  /** Blocks that the older version lacks. */
  readonly changed?: readonly number[]
  /** Blocks that it has in part. */
  readonly parts?: readonly number[]
  /** Blocks whose comparison is not here: the hash trees differ above them. */
  readonly unknown?: readonly number[]
  readonly profile?: readonly (readonly [number, number])[]
  readonly fails?: () => Error | null
  /** Does the disk have room? */
  readonly fits?: boolean
}

/** @param loaded hears of the first blocks whose comparison was fetched */
function deltaOf({ changed = [], parts = [], unknown = [] }: Options, loaded: number[]) {
  return {
    runsOf: async (offset: number, length: number) => {
      const block = offset / blockBytes
      if (!parts.includes(block)) return [{ offset, length, source: changed.includes(block) ? null : offset }]
      return [
        { offset, length: length / 2, source: offset },
        { offset: offset + length / 2, length: length / 2, source: null },
      ]
    },
    isKnown: async (offset: number, length: number) =>
      !unknown.some(block => block * blockBytes >= offset && block * blockBytes < offset + length),
    load: async (offset: number) => void loaded.push(offset / blockBytes),
  }
}

function copying({
  changed = [],
  parts: mixed = [],
  unknown = [],
  profile = [],
  fails = () => null,
  fits = true,
}: Options = {}) {
  const clock = { nowMs: 0 }
  const ended: string[] = []
  const filled: string[] = []
  const held = new Map<number, bigint>()
  const loaded: number[] = []
  const reads = { misses: 0, isComplete: false }
  const geometry = new Geometry(sizeBytes, blockBytes)
  const storedOf = (image: Image) => ({
    ...{ image, geometry, heldBytes: sizeBytes },
    held: (object: number) => (image === newer ? (held.get(object) ?? 0n) : (1n << 64n) - 1n),
    get complete() {
      return image !== newer || reads.isComplete
    },
  })
  const delta = deltaOf({ changed, parts: mixed, unknown }, loaded)
  const seals = {
    isWanted: () => true,
    prepare: async () => {
      const error = fails()
      if (error) throw error
      return { delta }
    },
    endDelta: ({ id }: Image) => void ended.push(id),
  }
  const parts = {
    store: {
      find: (imageId: string) => storedOf(imageId === older.id ? older : newer),
      use: async (image: Image) => storedOf(image),
      capacity: { fits: () => fits },
    },
    index: { profile: () => (profile.length === 0 ? null : { blockBytes, runs: profile }) },
    catalog: { superseded: () => [{ image: older }], imageOfName: () => ({ image: newer }) },
    origins: [{ origin: { url }, seals }],
    reader: {
      waiting: 0,
      counters: { of: () => reads },
      fill: async (_: unknown, object: number, blocks: bigint) => {
        held.set(object, (held.get(object) ?? 0n) | blocks)
        const first = blocks.toString(2).length - 1 - blocks.toString(2).lastIndexOf('1')
        filled.push(`${object}: ${first}+${[...blocks.toString(2)].filter(bit => bit === '1').length}`)
      },
    },
    logger: silentLogger,
    isKept: () => true,
    now: () => clock.nowMs,
  }
  const copier = new DeltaCopier(parts as unknown as DeltaCopierContext)
  const quietly = async () => {
    await copier.check()
    clock.nowMs += deltaQuietMs
    await copier.check()
  }
  return { copier, filled, ended, clock, held, loaded, reads, quietly }
}

t.test('the blocks of the last boot come first, then all others from the front, each once', async t => {
  const { copier, filled, ended, quietly } = copying({
    profile: [
      [130, 2],
      [3, 1],
    ],
  })
  t.equal(copier.isSource(older.id), true, 'it stays meanwhile')
  await quietly()
  t.same(filled.slice(0, 3), ['2: 2+2', '0: 3+1', '0: 0+63'])
  t.equal(filled.length, 6)
  t.equal(copier.copiedBytes, sizeBytes)
  t.same(ended, [newer.id], 'session threads fetch the rest')
  t.equal(copier.isSource(older.id), false)
  await copier.check()
  t.equal(filled.length, 6)
  await copier.close()
})

t.test('what changed is left to its readers', async t => {
  const { copier, held, ended, quietly } = copying({ changed: [0, 5, 255] })
  await quietly()
  t.same(ended, [newer.id], 'the older version has nothing of it')
  t.equal(copier.copiedBytes, sizeBytes - 3 * blockBytes)
  t.equal(held.get(0), ((1n << 64n) - 1n) & ~0b100001n)
  await copier.close()
})

t.test('a full disk, and an origin that is away, leave the older version as it is for a while', async t => {
  const full = copying({ fits: false })
  await full.quietly()
  t.same([full.filled.length, full.ended.length], [0, 1])
  await full.copier.close()
  let error: Error | null = new CacheError('origin-failed', 'away')
  const { copier, filled, ended, clock } = copying({ fails: () => error })
  await copier.check()
  t.same([filled.length, ended.length, copier.isSource(older.id)], [0, 0, true])
  clock.nowMs += deltaMsMax - 1
  t.equal(copier.isSource(older.id), true)
  clock.nowMs += 1
  t.equal(copier.isSource(older.id), false, 'not for ever')
  await copier.check()
  t.same(ended, [newer.id], 'then session threads fetch by themselves')
  error = new CacheError('image-unproven', 'no tree')
  const unproven = copying({ fails: () => error })
  await unproven.copier.check()
  t.equal(unproven.copier.isSource(older.id), false)
  await copier.close()
  await unproven.copier.close()
})

t.test('what the trees differ in is asked for when no reader has missed for a while', async t => {
  const { copier, loaded, clock, reads, ended } = copying({ unknown: [70, 200] })
  await copier.check()
  t.equal(copier.copiedBytes, 2 * 64 * blockBytes, 'the objects whose comparison is here')
  await copier.check()
  clock.nowMs += deltaQuietMs - 1
  await copier.check()
  t.same(loaded, [], 'not at once')
  reads.misses++
  await copier.check()
  clock.nowMs += deltaQuietMs - 1
  await copier.check()
  t.same([loaded, ended], [[], []], 'a boot goes on')
  clock.nowMs += 1
  await copier.check()
  t.same(loaded, [64, 192])
  t.equal(copier.copiedBytes, sizeBytes)
  t.same(ended, [newer.id])
  await copier.close()
})

t.test('an older version with parts of blocks stays until readers have brought these, for an hour', async t => {
  const { copier, quietly, ended, reads, held } = copying({ parts: [7] })
  await quietly()
  t.equal(held.get(0), ((1n << 64n) - 1n) & ~(1n << 7n))
  t.same([ended, copier.isSource(older.id)], [[], true])
  reads.isComplete = true
  await copier.check()
  t.same([ended, copier.isSource(older.id)], [[newer.id], false])
  await copier.close()
  const unread = copying({ parts: [7] })
  await unread.quietly()
  unread.clock.nowMs += deltaMsMax
  await unread.copier.check()
  t.same([unread.ended, unread.copier.isSource(older.id)], [[newer.id], false])
  await unread.copier.close()
})
