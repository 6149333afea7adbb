import t from 'tap'
import { storeReadMsMax } from '../../src/limits.ts'
import { silentLogger } from '../../src/logger.ts'
import { Health, runAfter } from '../../src/store/health.ts'
import { Openings } from '../../src/store/openings.ts'
import type { StoredImage } from '../../src/store/stored-image.ts'
import { timingDefault } from '../../src/store/timing.ts'

const stored = {} as StoredImage

function made() {
  const health = new Health({
    probe: async () => {},
    logger: silentLogger,
    now: () => performance.now(),
    after: runAfter,
    onChange: () => {},
    readingMs: () => 0,
    timing: timingDefault,
  })
  return new Openings(health)
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
  t.equal(openings.isUnderWay('a'), true)
  t.same(await Promise.all(both), [stored, stored])
  t.equal(attempts, 1)
  t.equal(openings.isUnderWay('a'), false)
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
  t.equal(openings.isUnderWay('a'), false, 'the attempt has ended')
})
