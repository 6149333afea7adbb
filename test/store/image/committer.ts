/** The end of a batch. */
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import type { IndexDatabase } from '../../../src/index/index-database.ts'
import { DiskHealth } from '../../../src/store/disk/disk-health.ts'
import { diskTimeoutsDefault } from '../../../src/store/disk/disk-timeouts.ts'
import { type CommitTarget, Committer, type WrittenBlocks } from '../../../src/store/image/committer.ts'
import { batchEntriesMax } from '../../../src/store/image/limits.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'

function committing(timing: { readonly batchMsMax: number; readonly batchBytesMax: number }) {
  const clock = fakeClock()
  const recorded: number[] = []
  const blocks: bigint[] = []
  const zeros: bigint[] = []
  const record = async (entries: readonly { readonly zero: bigint; blocks(): bigint }[]) => {
    recorded.push(entries.length)
    zeros.push(...entries.map(({ zero }) => zero))
    blocks.push(...entries.map(entry => entry.blocks()))
  }
  const health = new DiskHealth({
    probe: async () => {},
    logger: silentLogger,
    ...clock,
    onChange: () => {},
    readingMs: () => 0,
    timing: diskTimeoutsDefault,
  })
  const index = { record } as Partial<IndexDatabase> as IndexDatabase
  const committed: number[] = []
  const onCommitted = (writes: number) => void committed.push(writes)
  const options = { index, health, logger: silentLogger, timing, onCommitted }
  return { recorded, blocks, zeros, committed, clock, committer: new Committer(options, clock.after) }
}

const target: CommitTarget = { imageId: 'a', lockKey: String, sync: async () => {}, abandon: async () => {} }
const landed = (object: number, bytes: number): WrittenBlocks => ({
  target,
  object,
  run: { first: 0, count: 1 },
  sums: new Uint32Array(1),
  zero: 0n,
  bytes,
})

t.test('a batch ends with the bytes that fill it, not before', async t => {
  const { recorded, committer } = committing({ batchMsMax: 3_600_000, batchBytesMax: 100 })
  committer.add(landed(1, 99))
  await setImmediate()
  t.same(recorded, [])
  committer.add(landed(2, 1))
  await setImmediate()
  t.same(recorded, [2])
})

t.test('and with as many objects as one transaction takes, not before', async t => {
  const { recorded, committer } = committing({ batchMsMax: 3_600_000, batchBytesMax: 1e9 })
  for (let object = 1; object < batchEntriesMax; object++) committer.add(landed(object, 1))
  await setImmediate()
  t.same(recorded, [])
  committer.add(landed(batchEntriesMax, 1))
  await setImmediate()
  t.same(recorded, [batchEntriesMax])
})

t.test('and after its time, however little there is', async t => {
  const { recorded, clock, committer } = committing({ batchMsMax: 400, batchBytesMax: 1e9 })
  committer.add(landed(1, 1))
  await clock.advance(300)
  committer.add(landed(2, 1))
  t.equal(clock.armed(), 1)
  await clock.advance(99)
  t.same(recorded, [])
  await clock.advance(1)
  t.same(recorded, [2], 'counted from the first of it')
  committer.add(landed(3, 1))
  await clock.advance(399)
  t.same(recorded, [2])
  await clock.advance(1)
  t.same(recorded, [2, 1])
})

t.test('a batch that is flushed has its time no more: the next one has all of its own', async t => {
  const { recorded, clock, committer } = committing({ batchMsMax: 400, batchBytesMax: 1e9 })
  committer.add(landed(1, 1))
  await clock.advance(300)
  await committer.flush()
  t.equal(clock.armed(), 0)
  committer.add(landed(2, 1))
  await clock.advance(399)
  t.same(recorded, [1])
  await clock.advance(1)
  t.same(recorded, [1, 1])
})

t.test('writes into one object are one record, and each of them is settled', async t => {
  const { recorded, blocks, committed, committer } = committing({ batchMsMax: 3_600_000, batchBytesMax: 1e9 })
  committer.add(landed(1, 1))
  committer.add({ ...landed(1, 1), run: { first: 4, count: 2 }, sums: new Uint32Array(2) })
  committer.add(landed(2, 1))
  t.ok(committer.hasPending(target))
  await committer.flush()
  t.same([recorded, blocks, committed], [[2], [0b110001n, 1n], [3]])
  t.notOk(committer.hasPending(target))
})

t.test('a revoked block is not recorded, unless it was written again', async t => {
  const { blocks, committer } = committing({ batchMsMax: 3_600_000, batchBytesMax: 1e9 })
  for (const object of [1, 2]) {
    committer.add(landed(object, 1))
    committer.revoke(target.lockKey(object), 1n)
  }
  committer.add(landed(2, 1))
  await committer.flush()
  t.same(blocks, [0n, 1n])
})

t.test('of a block that is written twice the record has what was written last', async t => {
  const { zeros, committer } = committing({ batchMsMax: 3_600_000, batchBytesMax: 1e9 })
  committer.add({ ...landed(1, 1), zero: 1n })
  committer.add({ ...landed(1, 1), run: { first: 1, count: 1 }, zero: 0b10n })
  committer.add(landed(1, 1))
  await committer.flush()
  t.same(zeros, [0b10n])
})

t.test('a sync that fails loses what was written since it began too', async t => {
  const { recorded, committed, committer } = committing({ batchMsMax: 3_600_000, batchBytesMax: 1e9 })
  const abandoned: string[] = []
  const failing: CommitTarget = {
    ...target,
    sync: async () => {
      committer.add({ ...landed(1, 1), target: failing, run: { first: 1, count: 1 } })
      committer.add({ ...landed(3, 1), target: failing })
      committer.add(landed(4, 1))
      throw new Error('EIO')
    },
    abandon: async (object, blocks) => {
      t.ok(committer.hasPending(failing))
      abandoned.push(`${object}: ${blocks}`)
    },
  }
  committer.add({ ...landed(1, 1), target: failing })
  await committer.flush()
  t.same(abandoned, ['1: 3', '3: 1'])
  t.notOk(committer.hasPending(failing))
  t.same([recorded, committed], [[], [3]])
  t.equal(committer.failures, 1)
  await committer.flush()
  t.same([recorded, committed], [[1], [3, 1]], 'those of another file stay')
  t.equal(committer.failures, 1)
})
