/** When a batch ends. */
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { runAfter } from '../../../src/async/timers.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type { IndexDatabase } from '../../../src/index/index-database.ts'
import { DiskHealth } from '../../../src/store/disk/disk-health.ts'
import { diskTimeoutsDefault } from '../../../src/store/disk/disk-timeouts.ts'
import { type CommitTarget, Committer, type WrittenBlocks } from '../../../src/store/image/committer.ts'
import { until } from '../../fixtures/until.ts'

function committing(timing: { readonly batchMsMax: number; readonly batchBytesMax: number }) {
  const recorded: number[] = []
  const record = async (entries: readonly unknown[]) => void recorded.push(entries.length)
  const health = new DiskHealth({
    probe: async () => {},
    logger: silentLogger,
    now: () => performance.now(),
    after: runAfter,
    onChange: () => {},
    readingMs: () => 0,
    timing: diskTimeoutsDefault,
  })
  const index = { record } as Partial<IndexDatabase> as IndexDatabase
  return { recorded, committer: new Committer({ index, health, logger: silentLogger, timing, onCommitted: () => {} }) }
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
  const { recorded, committer } = committing({ batchMsMax: 400, batchBytesMax: 1e9 })
  const startMs = performance.now()
  committer.add(landed(1, 1))
  await until(() => recorded.length > 0, 5_000, 'the batch')
  t.ok(performance.now() - startMs >= 395)
})
