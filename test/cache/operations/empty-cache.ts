/** Emptying the cache: `evict --all` and `drain`, and the images that they name as held. */
import t from 'tap'
import { type HeldImage, namesOfHeld, waitingFor } from '../../../src/cache/operations/empty-cache.ts'
import { drainHoldersShownMax } from '../../../src/cache/operations/limits.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const MiB = 1024 * 1024
const quiet = { signal, onProgress: () => {} }

async function setUp(t: { testdir(): string }) {
  const [near, far] = [new MemoryOrigin('memory://near'), new MemoryOrigin('memory://far')]
  for (const origin of [near, far]) for (const name of ['a', 'b']) origin.put(name, 2 * MiB)
  const origins = [
    { directory: 'near', origin: near },
    { directory: 'far', origin: far },
  ]
  const rooms = await openRooms({ directory: t.testdir(), origin: origins })
  const { cache } = rooms
  for (const name of ['near/a', 'near/b', 'far/a']) {
    await cache.operations.promote(name, null, quiet)
  }
  const held = () => cache.images().filter(({ residentBytes }) => residentBytes > 0)
  return {
    rooms,
    cache,
    held: () =>
      held()
        .map(({ name }) => name)
        .sort(),
  }
}

t.test('evict --all empties the origins that are meant, and names what pins keep', async t => {
  const { rooms, cache, held } = await setUp(t)
  const { operations } = cache
  await operations.pin('near/b')
  await t.rejects(operations.evictAll('nowhere', quiet), { code: 'not-found' })
  t.match(await operations.evictAll('near', quiet), {
    images: 1,
    bytes: 2 * MiB,
    held: [{ name: 'near/b', bytes: 2 * MiB, by: 'pin' }],
  })
  t.same(held(), ['far/a', 'near/b'])
  t.match(await operations.evictAll(null, quiet), { images: 1, bytes: 2 * MiB, held: [{ name: 'near/b' }] })
  t.same(await operations.evictAll('memory://far', quiet), { images: 0, objects: 0, bytes: 0, held: [] }, 'by its URL')
  t.same(held(), ['near/b'])
  await rooms.close()
})

t.test('a drain keeps nothing more of its origin, waits for a pin that it names, and ends at 0 bytes', async t => {
  const { rooms, cache, held } = await setUp(t)
  const { operations } = cache
  await operations.pin('near/b')
  const phases: string[] = []
  const drain = operations.drain('near', { signal, onProgress: ({ phase }) => phases.push(phase) })
  await until(() => phases.some(phase => phase.startsWith('waits')), patienceMs, 'the pin to be named')
  t.ok(phases.includes('waits for near/b (pinned)'), phases.join())
  await t.rejects(operations.promote('near/a', null, quiet), { code: 'invalid-argument', message: /mode is proxy/ })
  await operations.unpin('near/b')
  t.match(await drain, { images: 2, bytes: 4 * MiB, held: [] })
  t.same(held(), ['far/a'], 'the other origin stays')
  await operations.promote('far/a', null, quiet)
  await rooms.close()
})

t.test('a drain that is given up leaves the mode at proxy', async t => {
  const { rooms, cache, held } = await setUp(t)
  const { operations } = cache
  await operations.pin('far/a')
  const leaving = new AbortController()
  const onProgress = ({ phase }: { readonly phase: string }) => phase.startsWith('waits') && leaving.abort()
  await t.rejects(operations.drain(null, { signal: leaving.signal, onProgress }), { code: 'aborted' })
  t.same(held(), ['far/a'])
  for (const name of ['near/a', 'far/a']) await t.rejects(operations.promote(name, null, quiet), /mode is proxy/)
  await rooms.close()
})

t.test('a line of progress names some of those that hold, and counts the others', async t => {
  const by: HeldImage['by'][] = ['pin', 'passthrough', 'open', 'use']
  const images = by.map((why, k) => ({ name: `${k}.raw`, bytes: 10, by: why }))
  const all = '0.raw (pinned), 1.raw (open by passthrough), 2.raw (open), 3.raw (in use)'
  t.equal(namesOfHeld(images.slice(0, drainHoldersShownMax)), all.split(', ').slice(0, drainHoldersShownMax).join(', '))
  const many = Array.from({ length: drainHoldersShownMax + 1 }, () => images[0]!)
  t.match(namesOfHeld(many), /\(pinned\) and 1 more$/)
  t.same(waitingFor('drain', images, { images: 1, objects: 1, bytes: 60, held: [] }), {
    name: 'drain',
    phase: `waits for ${namesOfHeld(images)}`,
    doneBytes: 60,
    totalBytes: 100,
  })
})
