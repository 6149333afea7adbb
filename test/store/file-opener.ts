import t from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { DiskHealth } from '../../src/store/disk/disk-health.ts'
import { diskTimeoutsDefault } from '../../src/store/disk/disk-timeouts.ts'
import { storeReadMsMax } from '../../src/store/disk/limits.ts'
import { FileOpener } from '../../src/store/file-opener.ts'
import type { StoredImage } from '../../src/store/image/stored-image.ts'
import { deferred, nextIteration } from '../fixtures/deferred.ts'
import { fakeClock } from '../fixtures/fake-clock.ts'

const stored = {} as StoredImage

function made() {
  const clock = fakeClock()
  const health = new DiskHealth({
    probe: async () => {},
    logger: silentLogger,
    ...clock,
    onChange: () => {},
    readingMs: () => 0,
    timing: diskTimeoutsDefault,
  })
  return { clock, openings: new FileOpener(health) }
}

t.test('all who want a file get it from one attempt', async t => {
  const { openings } = made()
  let attempts = 0
  const open = async () => {
    attempts++
    await new Promise(resolve => setImmediate(resolve))
    return stored
  }
  const both = [openings.run('a', open), openings.run('a', open)]
  t.equal(openings.isOpening('a'), true)
  t.same(await Promise.all(both), [stored, stored])
  t.equal(attempts, 1)
  t.equal(openings.isOpening('a'), false)
})

t.test('nobody waits longer than for a read, and who comes later not at all', async t => {
  const { clock, openings } = made()
  const opening = deferred<StoredImage>()
  const ended: unknown[] = []
  const first = openings.run('a', () => opening.promise).then(image => ended.push(image))
  await clock.advance(storeReadMsMax - 1)
  t.same(ended, [])
  await clock.advance(1)
  await first
  t.same(ended, [null])
  const late = openings.run('a', () => Promise.reject(new Error('a second attempt')))
  t.equal(await Promise.race([late, nextIteration().then(() => 'it waits')]), null)
  opening.resolve(stored)
  await nextIteration()
  t.equal(openings.isOpening('a'), false, 'the attempt has ended')
})

t.test('a file that was opened in time is not late because this process was busy', async t => {
  const { clock, openings } = made()
  const opening = deferred<StoredImage>()
  const opened = openings.run('a', () => opening.promise)
  // Its answer lies behind the timer in one iteration of the event loop.
  setImmediate(() => opening.resolve(stored))
  await clock.advance(storeReadMsMax)
  t.equal(await opened, stored)
})
