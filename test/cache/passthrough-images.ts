import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../fixtures/rooms.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const sizeBytes = 300 * 1024 + 5
const verifying = { signal, onProgress: () => {} }

/** A complete image; its digest has not been asked for yet. */
async function complete(t: Test, hexOf: ((bytes: Buffer) => string) | null) {
  const origin = new MemoryOrigin()
  origin.put('a', sizeBytes)
  if (hexOf) origin.published.set('a', { algorithm: 'sha-256', hex: hexOf(origin.bytes('a', 0, sizeBytes)) })
  // Not testdir(): it goes before the teardown below.
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-passthroughs-'))
  const rooms = await openRooms({ directory, origin })
  t.teardown(async () => {
    await rooms.close()
    rmSync(directory, { recursive: true })
  })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  t.equal(rooms.cache.passthrough.offers(image), false, 'nothing is held')
  await rooms.cache.read(image, 0, sizeBytes, { signal })
  await until(() => rooms.cache.residence(image).complete, patienceMs, 'the promotion')
  await rooms.store.flush()
  t.ok(rooms.store.find(image.id)!.isSound, 'as far as we can tell by ourselves')
  const digest = () => rooms.cache.images()[0]?.digest
  return { rooms, image, digest, passthrough: rooms.cache.passthrough }
}

t.test('a complete image is not offered before it is known what its publisher says of it', async t => {
  for (const hexOf of [null, (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')]) {
    const { rooms, image, digest, passthrough } = await complete(t, hexOf)
    t.equal(digest(), 'unverified')
    t.equal(passthrough.offers(image), false)
    t.equal(passthrough.begin(image), null)
    t.match(passthrough.counters, { opens: 0, openNow: 0, images: 0 })
    await rooms.cache.operations.verify('a', verifying)
    t.equal(digest(), hexOf ? 'verified' : 'none')
    t.equal(passthrough.offers(image), true)
    t.ok(passthrough.begin(image))
    t.match(passthrough.counters, { opens: 1, openNow: 1, images: 1 })
    passthrough.end(image)
    t.match(passthrough.counters, { opens: 1, openNow: 0, images: 0 })
  }
})

t.test('an image that is not what its publisher says is never offered', async t => {
  const { rooms, image, digest, passthrough } = await complete(t, () => '0'.repeat(64))
  await rooms.cache.operations.verify('a', verifying)
  t.equal(digest(), 'mismatch')
  t.equal(passthrough.offers(image), false)
  t.equal(passthrough.begin(image), null)
})

t.test('an image is not offered while the disk is sick', async t => {
  const { rooms, image, passthrough } = await complete(t, null)
  await rooms.cache.operations.verify('a', verifying)
  t.equal(passthrough.offers(image), true)
  rooms.store.health.stalled('read', 1)
  t.equal(passthrough.offers(image), false)
})
