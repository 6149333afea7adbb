import t from 'tap'
import { runAfter } from '../../src/async/timers.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { DiskHealth } from '../../src/store/disk/disk-health.ts'
import { diskTimeoutsDefault } from '../../src/store/disk/disk-timeouts.ts'
import { storeReadMsMax } from '../../src/store/disk/limits.ts'
import { FileOpener } from '../../src/store/file-opener.ts'
import type { StoredImage } from '../../src/store/image/stored-image.ts'

const stored = {} as StoredImage

function made() {
  const health = new DiskHealth({
    probe: async () => {},
    logger: silentLogger,
    now: () => performance.now(),
    after: runAfter,
    onChange: () => {},
    readingMs: () => 0,
    timing: diskTimeoutsDefault,
  })
  return new FileOpener(health)
}

t.test('all who want a file get it from one attempt', async t => {
  const openings = made()
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
  const openings = made()
  let done: (opened: StoredImage) => void = () => {}
  const open = () =>
    new Promise<StoredImage>(resolve => {
      done = resolve
    })
  const beganMs = performance.now()
  t.equal(await openings.run('a', open), null)
  const tookMs = performance.now() - beganMs
  t.ok(tookMs >= storeReadMsMax - 5 && tookMs < 5 * storeReadMsMax, `${tookMs} ms`)
  const late = openings.run('a', () => Promise.reject(new Error('a second attempt')))
  t.equal(await Promise.race([late, new Promise(resolve => setImmediate(resolve, 'it waits'))]), null)
  done(stored)
  await new Promise(resolve => setImmediate(resolve))
  t.equal(openings.isOpening('a'), false, 'the attempt has ended')
})
