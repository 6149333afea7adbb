/** Damaged blocks of images that the kernel reads by itself: written again with bytes of the origin. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { BlockRepair } from '../../../src/cache/integrity/block-repair.ts'
import { damage } from '../../fixtures/damage.ts'
import { deferred } from '../../fixtures/deferred.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'

const blockBytes = 4096
const objectBytes = 64 * blockBytes

/** An image with damage under the kernel's eyes: blocks 1, 2 and 5 of object 0, and the first of object 1. */
async function damaged(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-repair-')) // Not testdir(): it goes before the teardown below.
  const origin = new MemoryOrigin()
  origin.put('a', 2 * objectBytes)
  const rooms = await openRooms({ directory, origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const stored = (await rooms.store.use(image))!
  for (const object of [0, 1]) await stored.writeBlocks(object, 0, origin.bytes('a', object * objectBytes, objectBytes))
  await rooms.store.flush()
  stored.kernelRefs.begin()
  for (const block of [1, 2, 5, 64]) damage(join(directory, 'images', image.id), block * blockBytes)
  for (const object of [0, 1]) await stored.scrub(object, ~0n, true)
  origin.requests.length = 0
  const logger = keepingLogger()
  const repair = new BlockRepair({ originOf: () => origin, logger })
  t.teardown(async () => {
    await repair.close()
    stored.kernelRefs.end()
    await rooms.close()
    rmSync(directory, { recursive: true })
  })
  const isRight = async () => {
    const target = Buffer.alloc(image.sizeBytes)
    return (await stored.read(0, target)) && origin.bytes('a', 0, image.sizeBytes).equals(target)
  }
  return { origin, stored, logger, repair, isRight }
}

t.test('each damaged run is asked of the origin once, and readers have right bytes again', async t => {
  const { origin, stored, logger, repair, isRight } = await damaged(t)
  t.notOk(await isRight())
  await Promise.all([repair.repair(stored), repair.repair(stored)])
  t.same(origin.requests, ['read a 4096 8192', 'read a 20480 4096', `read a ${objectBytes} 4096`])
  t.equal(repair.repairedBlocks, 4)
  t.same([...stored.damagedObjects()], [])
  t.ok(await isRight())
  t.same(
    logger.lines.map(({ level }) => level),
    ['warn', 'warn', 'warn'],
  )
  await repair.repair(stored)
  t.equal(origin.reads, 3, 'nothing is left to do')
})

t.test('while the origin is away blocks wait, which is said once; what it gives later is written', async t => {
  const { origin, stored, logger, repair, isRight } = await damaged(t)
  origin.failure = new CacheError('origin-away', 'gone')
  for (let k = 0; k < 3; k++) await repair.repair(stored)
  t.same(
    logger.lines.map(({ level }) => level),
    ['error'],
  )
  t.equal(stored.damaged(0), 0b100110n)
  origin.failure = null
  await repair.repair(stored)
  t.ok(await isRight())
  t.equal(repair.repairedBlocks, 4)
})

t.test('a stop leaves the rest for the next start, and complains of nothing', async t => {
  const { origin, stored, logger, repair } = await damaged(t)
  const asked = deferred()
  origin.gate = (_key, _offset, own) => {
    asked.resolve()
    return new Promise((_, reject) => own.addEventListener('abort', () => reject(new CacheError('aborted', 'left'))))
  }
  const repairing = repair.repair(stored)
  await asked.promise
  await repair.close()
  await repairing
  await repair.repair(stored)
  t.equal(origin.reads, 1)
  t.same(logger.lines, [])
})
