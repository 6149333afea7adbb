/**
 * Objects of servers whose HEAD says too little, and of those that answer a range with the whole.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import type { RangeReceiver } from '../../../src/native/range-receiver.ts'
import { HttpOrigin } from '../../../src/origin/http/http-origin.ts'
import { type HttpOriginOptions, startHttpOrigin } from '../../fixtures/http-origin.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { waysToReceive } from '../../fixtures/receiving.ts'

const signal = new AbortController().signal
const sample = { seed: 18, sizeBytes: 100_001, dataShare: 1 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)

/** A server with one image `a.img` and an empty one `empty`, and an origin on it. */
async function bench(t: Test, options: Partial<HttpOriginOptions> = {}, receiver: RangeReceiver | null = null) {
  const directory = t.testdir({ empty: '' })
  writeFileSync(join(directory, 'a.img'), bytes)
  const server = await startHttpOrigin({ directory, ...options })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url, { receiver })
  t.teardown(() => origin.close())
  return { server, origin }
}

t.test('a server that refuses HEAD alone is asked for the first byte, and for no HEAD any more', async t => {
  for (const status of [400, 403, 405, 501]) {
    const { server, origin } = await bench(t)
    await server.fault({ kind: 'status', status, method: 'HEAD' })
    for (let k = 0; k < 2; k++) t.equal((await origin.lookup('a.img', { signal })).sizeBytes, sample.sizeBytes)
    t.same((await server.counters()).methods, { HEAD: 1, GET: 2 }, `${status}`)
  }
})

t.test('a server that refuses one name is asked for the HEAD of others', async t => {
  const { server, origin } = await bench(t)
  await server.fault({ kind: 'status', status: 403, path: '/secret' })
  await t.rejects(origin.lookup('secret', { signal }), { code: 'access-denied' })
  await server.reset()
  await origin.lookup('a.img', { signal })
  t.same((await server.counters()).methods, { HEAD: 1 })
})

t.test('a HEAD without a length leaves it to the first byte', async t => {
  const { server, origin } = await bench(t)
  await server.fault({ kind: 'long', method: 'HEAD' })
  t.equal((await origin.lookup('a.img', { signal })).sizeBytes, sample.sizeBytes)
  t.equal((await origin.lookup('empty', { signal })).sizeBytes, 0)
})

t.test('an empty image is one also when the refusal of its first byte says nothing', async t => {
  const { server, origin } = await bench(t, { head: false })
  await server.fault({ kind: 'status', status: 416, method: 'GET', times: 1 })
  t.equal((await origin.lookup('empty', { signal })).sizeBytes, 0)
})

t.test('the whole is an answer to a range of all bytes, of the right version and length', async t => {
  for (const receiver of [null, ...waysToReceive(t).flatMap(way => (way.identity ? [] : [way.receiver]))]) {
    const { server, origin } = await bench(t, {}, receiver)
    const image = identify(await origin.lookup('a.img', { signal }))
    const target = Buffer.alloc(sample.sizeBytes)
    await server.fault({ kind: 'whole' })
    await origin.read(image, 0, target, { signal })
    t.ok(target.equals(bytes))
    const part = new Uint8Array(sample.sizeBytes - 1)
    await t.rejects(origin.read(image, 0, part, { signal }), { code: 'origin-protocol' })
    await t.rejects(origin.read(image, 1, part, { signal }), { code: 'origin-protocol' })
    const longer = { ...image, sizeBytes: sample.sizeBytes + 1 }
    await t.rejects(origin.read(longer, 0, Buffer.alloc(longer.sizeBytes), { signal }), { code: 'origin-protocol' })
    const other = { ...image, validator: '"other"' }
    await t.rejects(origin.read(other, 0, target, { signal }), { code: 'image-changed' })
  }
})
