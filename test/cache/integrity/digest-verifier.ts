import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { DigestAlgorithm } from '../../../src/origin/contract/digest.ts'
import { damage } from '../../fixtures/damage.ts'
import { deferred } from '../../fixtures/deferred.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever, openRooms, type Rooms } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024
const sizeBytes = 900 * KiB + 5
const options = { signal: forever, onProgress: () => {} }

interface World {
  readonly origin: MemoryOrigin
  readonly directory: string
  open(): Promise<Rooms>
}

function worldOf(t: Test): World {
  const origin = new MemoryOrigin()
  origin.put('a', sizeBytes, 7, [[200 * KiB, 300 * KiB]])
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-digester-'))
  const opened: Rooms[] = []
  t.teardown(async () => {
    for (const rooms of opened) await rooms.close()
    rmSync(directory, { recursive: true })
  })
  const open = async () => {
    const rooms = await openRooms({ directory, origin })
    opened.push(rooms)
    rooms.cache.startBackground()
    return rooms
  }
  return { origin, directory, open }
}

function hashOf(origin: MemoryOrigin, algorithm: DigestAlgorithm): string {
  return createHash(algorithm.replace('-', ''))
    .update(origin.bytes('a', 0, sizeBytes))
    .digest('hex')
}

async function readAll({ cache }: Rooms): Promise<Buffer> {
  const { image } = await cache.lookup(null, 'a', { signal: forever })
  return Buffer.from(await cache.read(image, 0, sizeBytes, { signal: forever }))
}

function stateOf({ cache }: Rooms): string | undefined {
  return cache.images()[0]?.digest
}

for (const algorithm of ['sha-256', 'sha-512'] as const) {
  t.test(`a complete image is compared with its ${algorithm} digest once, and a restart knows`, async t => {
    const { origin, open } = worldOf(t)
    origin.published.set('a', { algorithm, hex: hashOf(origin, algorithm) })
    const first = await open()
    const { image } = await first.cache.lookup(null, 'a', { signal: forever })
    await first.cache.read(image, 0, 4096, { signal: forever })
    t.equal(stateOf(first), 'unverified')
    t.same(origin.digests, [], 'nothing is asked before the image is complete')
    await readAll(first)
    await until(() => stateOf(first) === 'verified', patienceMs, 'the comparison')
    t.same(origin.digests, ['a'])
    await first.close()
    const second = await open()
    t.equal(stateOf(second), 'verified')
    t.ok(origin.bytes('a', 0, sizeBytes).equals(await readAll(second)))
    t.same(origin.digests, ['a'])
  })
}

t.test('an image that becomes complete while another one is compared is compared next', async t => {
  const { origin, open } = worldOf(t)
  origin.put('b', 100 * KiB)
  const gate = deferred()
  const digest = origin.digest.bind(origin)
  origin.digest = async image => {
    if (image.key === 'a') await gate.promise
    return digest(image)
  }
  const { cache } = await open()
  const readWhole = async (key: string) => {
    const { image } = await cache.lookup(null, key, { signal: forever })
    await cache.read(image, 0, image.sizeBytes, { signal: forever })
    await until(() => cache.images().find(({ name }) => name === key)?.complete === true, patienceMs, key)
  }
  await readWhole('a')
  await readWhole('b')
  gate.resolve()
  await until(() => cache.images().every(({ digest }) => digest === 'none'), patienceMs, 'both comparisons')
  t.same(origin.digests, ['a', 'b'])
})

t.test('an image without a digest is asked for it once', async t => {
  const { origin, open } = worldOf(t)
  const first = await open()
  await readAll(first)
  await until(() => stateOf(first) === 'none', patienceMs, 'the answer')
  await first.close()
  await readAll(await open())
  t.same(origin.digests, ['a'])
})

t.test('the index is asked for the record of an image once, not at every read', async t => {
  const { open } = worldOf(t)
  const rooms = await open()
  const { index } = rooms
  const digest = index.digest.bind(index)
  let asked = 0
  index.digest = id => {
    asked++
    return digest(id)
  }
  for (let k = 0; k < 3; k++) await readAll(rooms)
  t.equal(asked, 1)
})

t.test('an image that is not what its publisher says is not served, until the publisher says otherwise', async t => {
  const { origin, open } = worldOf(t)
  origin.published.set('a', { algorithm: 'sha-256', hex: '0'.repeat(64) })
  const first = await open()
  await readAll(first)
  await until(() => stateOf(first) === 'mismatch', patienceMs, 'the comparison')
  const { image } = await first.cache.lookup(null, 'a', { signal: forever })
  await t.rejects(readAll(first), { code: 'image-corrupt' })
  await t.rejects(first.cache.open(image), { code: 'image-corrupt' })
  await until(() => first.store.find(image.id)?.heldBytes === 0, patienceMs, 'its blocks to go')
  await first.close()
  const second = await open()
  await t.rejects(readAll(second), { code: 'image-corrupt' })
  t.match(await second.cache.operations.verify('a', options), [{ name: 'a', digest: 'mismatch', corruptBlocks: 0 }])
  origin.published.set('a', { algorithm: 'sha-256', hex: hashOf(origin, 'sha-256') })
  t.match(await second.cache.operations.verify('a', options), [{ name: 'a', digest: 'verified' }])
  t.ok(origin.bytes('a', 0, sizeBytes).equals(await readAll(second)))
})

t.test('a digest that is replaced a moment after its image is no reason for quarantine', async t => {
  const { origin, open } = worldOf(t)
  const old = { algorithm: 'sha-256', hex: '1'.repeat(64) } as const
  const published = { algorithm: 'sha-256', hex: hashOf(origin, 'sha-256') } as const
  origin.digest = async ({ key }) => (origin.digests.push(key) === 1 ? old : published)
  const rooms = await open()
  await readAll(rooms)
  await until(() => origin.digests.length === 2, patienceMs, 'the second question')
  t.equal(stateOf(rooms), 'unverified')
  t.match(await rooms.cache.operations.verify(null, options), [{ digest: 'verified' }])
})

t.test('damage that comes between the question and the hash is no mismatch either', async t => {
  const { origin, directory, open } = worldOf(t)
  const rooms = await open()
  origin.digest = async ({ id, key }) => {
    if (origin.digests.push(key) === 1) {
      await rooms.store.flush()
      damage(join(directory, 'images', id), 500 * KiB)
    }
    return { algorithm: 'sha-256', hex: hashOf(origin, 'sha-256') }
  }
  await readAll(rooms)
  await until(() => rooms.store.corruptBlocks === 1, patienceMs, 'the finding')
  t.not(stateOf(rooms), 'mismatch')
  t.ok(origin.bytes('a', 0, sizeBytes).equals(await readAll(rooms)))
  t.same(origin.digests, ['a'], 'what is not complete is not compared')
})

t.test('damage on our own disk is never taken for the publisher’s', async t => {
  const { origin, directory, open } = worldOf(t)
  const rooms = await open()
  await readAll(rooms)
  await until(() => stateOf(rooms) === 'none', patienceMs, 'the first answer')
  await rooms.store.flush()
  const [stored] = [...rooms.store.images()]
  damage(join(directory, 'images', stored!.imageId), 500 * KiB)
  origin.published.set('a', { algorithm: 'sha-256', hex: hashOf(origin, 'sha-256') })
  t.match(await rooms.cache.operations.verify('a', options), [{ corruptBlocks: 1, complete: false, digest: 'none' }])
  t.ok(origin.bytes('a', 0, sizeBytes).equals(await readAll(rooms)))
  await until(() => stored!.complete, patienceMs, 'the refetch')
  t.match(await rooms.cache.operations.verify('a', options), [{ corruptBlocks: 0, complete: true, digest: 'verified' }])
  await t.rejects(rooms.cache.operations.verify('b', options), { code: 'not-found' })
})
