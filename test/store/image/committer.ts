/** The end of a batch. */
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import type { IndexDatabase } from '../../../src/index/index-database.ts'
import { DiskHealth } from '../../../src/store/disk/disk-health.ts'
import { diskTimeoutsDefault } from '../../../src/store/disk/disk-timeouts.ts'
import { type CommitTarget, Committer, type WrittenBlocks } from '../../../src/store/image/committer.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'

function committing(timing: { readonly batchMsMax: number; readonly batchBytesMax: number }) {
  const clock = fakeClock()
  const recorded: number[] = []
  const record = async (entries: readonly unknown[]) => void recorded.push(entries.length)
  const health = new DiskHealth({
    probe: async () => {},
    logger: silentLogger,
    ...clock,
    onChange: () => {},
    readingMs: () => 0,
    timing: diskTimeoutsDefault,
  })
  const index = { record } as Partial<IndexDatabase> as IndexDatabase
  const options = { index, health, logger: silentLogger, timing, onCommitted: () => {} }
  return { recorded, clock, committer: new Committer(options, clock.after) }
}

const target: CommitTarget = { imageId: 'a', lockKey: String, sync: async () => {}, abandon: async () => {} }
const landed = (object: number, bytes: number): WrittenBlocks => ({
  target,
  object,
  first: 0,
  blocks: 1n,
  landed: { sums: new Uint32Array(1), zero: 0n },
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
