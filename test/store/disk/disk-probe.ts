/** A probe of the disk: data file and index, in time, one at a time. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import type { IndexDatabase } from '../../../src/index/index-database.ts'
import type { DataDirectory } from '../../../src/store/disk/data-directory.ts'
import { DiskProbe } from '../../../src/store/disk/disk-probe.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'

/** A probe of two steps that end when the test says so. */
function probing(msMax = 60_000) {
  const steps = { directory: deferred(), index: deferred() }
  const directory = { probe: () => steps.directory.promise } as unknown as DataDirectory
  const index = { probe: () => steps.index.promise } as unknown as IndexDatabase
  return { steps, probe: new DiskProbe(directory, index, msMax) }
}

t.test('it has ended when both have', async t => {
  const { steps, probe } = probing()
  let ended = false
  const running = probe.run().then(() => {
    ended = true
  })
  steps.index.resolve()
  await nextIteration()
  t.notOk(ended)
  steps.directory.resolve()
  await running
  await probe.run()
})

t.test('what fails on either is thrown', async t => {
  for (const which of ['directory', 'index'] as const) {
    const { steps, probe } = probing()
    const running = probe.run()
    steps[which].reject(new CacheError('index-failed', which))
    await t.rejects(running, { message: which })
  }
})

t.test('one that hangs is late, and there is no other before it has come back', async t => {
  const { steps, probe } = probing(1)
  await t.rejects(probe.run(), { code: 'store-failed', message: /took over 1 ms/ })
  await t.rejects(probe.run(), { code: 'store-failed', message: /still waits/ })
  steps.directory.resolve()
  await nextIteration()
  await t.rejects(probe.run(), { message: /still waits/ }, 'the other half of it')
  steps.index.resolve()
  await nextIteration()
  await probe.run()
})
