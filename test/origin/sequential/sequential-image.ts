/**
 * Passes of one sequential image, over an origin that a test steers chunk by chunk.
 */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import { SequentialOrigin } from '../../../src/origin/sequential/sequential-origin.ts'
import { deferred } from '../../fixtures/deferred.ts'
import { FrontOnlyOrigin } from '../../fixtures/front-only-origin.ts'
import { until } from '../../fixtures/until.ts'

const signal = new AbortController().signal
const sizeBytes = 1_000_000

async function bench(idleMs = 60_000) {
  const inner = new FrontOnlyOrigin()
  inner.put('a', sizeBytes)
  const origin = new SequentialOrigin(inner, idleMs)
  const image = identify(await origin.lookup('a', { signal }))
  const read = async (offset: number, length: number, own: AbortSignal = signal, of: Image = image) => {
    const target = new Uint8Array(length)
    await origin.read(of, offset, target, { signal: own })
    return inner.bytes(of.key, offset, length).equals(target)
  }
  return { inner, origin, image, read }
}

t.test('a lookup gives the facts of any image, and the origin knows that it is sequential', async t => {
  const { inner, origin, image } = await bench()
  t.notOk('isSequential' in (await origin.lookup('a', { signal })))
  t.ok(origin.isSequential(image))
  t.equal(inner.passes, 0)
  await origin.close()
})

t.test('a pass without readers whose bytes are not kept stops behind the last one, and ends after a while', async t => {
  const { inner, origin, image, read } = await bench(50)
  t.ok(await read(100_000, 10))
  t.ok(inner.sentBytes < 200_000)
  await until(() => origin.positionOf(image.id) === null, 20_000, 'its end')
  t.ok(await read(200_000, 10))
  t.equal(inner.passes, 2)
  await origin.close()
})

t.test('a reader that leaves takes nothing from the others, and the last one leaves no pass behind', async t => {
  const { inner, origin, image, read } = await bench(50)
  const gate = deferred()
  inner.beforeChunk = (_, offset) => (offset > 300_000 ? gate.promise : undefined)
  const leaver = new AbortController()
  const left = t.rejects(read(900_000, 10, leaver.signal), { code: 'aborted' })
  const stays = read(800_000, 10)
  await until(() => inner.sentBytes > 290_000, 20_000, 'the gate')
  leaver.abort()
  await left
  gate.resolve()
  t.ok(await stays)
  t.equal(inner.passes, 1)
  await until(() => origin.positionOf(image.id) === null, 20_000, 'the end of the pass')
  await origin.close()
})

t.test('failures that may pass are tried again, others are the answer of all that wait', async t => {
  const { inner, origin, read } = await bench()
  inner.beforeChunk = (pass, offset) => {
    if (pass < 3 && offset > 0) throw new CacheError('origin-failed', 'reset')
  }
  t.ok(await read(900_000, 10))
  t.equal(inner.passes, 3)
  inner.beforeChunk = () => {
    throw new CacheError('access-denied', '403')
  }
  const refused = [read(10, 10), read(700_000, 10)]
  for (const each of refused) await t.rejects(each, { code: 'access-denied' })
  t.equal(inner.passes, 4)
  await origin.close()
})

t.test('closing refuses the reads that wait', async t => {
  const { inner, origin, read } = await bench()
  const gate = deferred()
  inner.beforeChunk = (_, offset) => (offset > 0 ? gate.promise : undefined)
  const waits = t.rejects(read(900_000, 10), { code: 'closed' })
  await until(() => inner.sentBytes > 0, 20_000, 'the pass')
  const closing = origin.close()
  gate.resolve()
  await Promise.all([waits, closing])
})

t.test('so many passes of one origin run at once, and the others wait for their turn', async t => {
  const { inner, origin, read } = await bench(50)
  const gate = deferred()
  inner.beforeChunk = () => gate.promise
  const images: Image[] = []
  for (const name of ['b', 'c', 'd', 'e', 'f', 'g']) {
    inner.put(name, 200_000)
    images.push(identify(await origin.lookup(name, { signal })))
  }
  const reads = images.map(image => read(150_000, 10, signal, image))
  await until(() => inner.passes === 4, 20_000, 'the passes')
  gate.resolve()
  t.same(await Promise.all(reads), Array(6).fill(true))
  t.equal(inner.passes, 6)
  await origin.close()
})
