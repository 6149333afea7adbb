/**
 * Sequential images as an Origin: a web server without ranges keeps the contract, and a pass serves all that wait.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { HttpOrigin } from '../../../src/origin/http/http-origin.ts'
import { SequentialOrigin } from '../../../src/origin/sequential/sequential-origin.ts'
import { originContract } from '../../contract/origin.ts'
import { type HttpOriginOptions, startHttpOrigin } from '../../fixtures/http-origin.ts'
import { sampleBytes } from '../../fixtures/images.ts'

const signal = new AbortController().signal
const sample = { seed: 3, sizeBytes: 3_000_001, dataShare: 1 }

for (const variant of [{}, { head: false }, { etag: 'none', listing: 'html' }] as const) {
  originContract(`a web server without ranges ${JSON.stringify(variant)}`, async (directory, t) => {
    const server = await startHttpOrigin({ directory, ranges: 'no', ...variant })
    t.teardown(() => server.close())
    return new SequentialOrigin(new HttpOrigin(server.url, { takesSequential: true }))
  })
}

async function bench(t: Test, options: Partial<HttpOriginOptions> = {}) {
  const directory = t.testdir()
  writeFileSync(join(directory, 'a.img'), sampleBytes(sample, 0, sample.sizeBytes))
  const server = await startHttpOrigin({ directory, ranges: 'no', ...options })
  const origin = new SequentialOrigin(new HttpOrigin(server.url, { takesSequential: true }))
  t.teardown(() => server.close())
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  await server.reset()
  const readRight = async (offset: number, length: number) => {
    const target = new Uint8Array(length)
    await origin.read(image, offset, target, { signal })
    t.ok(sampleBytes(sample, offset, length).equals(target), `${length} bytes at ${offset}`)
  }
  const gets = async () => (await server.counters()).methods.GET ?? 0
  return { server, origin, image, readRight, gets }
}

t.test('reads in any order are answered by one pass', async t => {
  const { readRight, gets, origin, image } = await bench(t)
  await Promise.all([2_900_000, 5, 1_000_000, 999_000, 1_500_000].map(offset => readRight(offset, 70_000)))
  t.equal(await gets(), 1)
  t.ok(origin.isSequential(image))
  t.not(origin.positionOf(image.id), 0, 'it waits for another read')
})

t.test('a reader that goes on is served by the pass that waits for it; one that goes back has another', async t => {
  const { readRight, gets } = await bench(t)
  for (let offset = 0; offset < 1_000_000; offset += 50_000) await readRight(offset, 50_000)
  t.equal(await gets(), 1)
  await Promise.all([readRight(10, 10), readRight(400_000, 100)])
  t.equal(await gets(), 2, 'one pass for both')
})

t.test('an image that was not looked up shows itself at its first read', async t => {
  const { server, image, gets } = await bench(t)
  const other = new SequentialOrigin(new HttpOrigin(server.url, { takesSequential: true }))
  t.teardown(() => other.close())
  t.notOk(other.isSequential(image))
  const target = new Uint8Array(1000)
  await other.read(image, 2_000_000, target, { signal })
  t.ok(sampleBytes(sample, 2_000_000, 1000).equals(target))
  t.equal(await gets(), 3, 'the one that was refused, that of the lookup, and the pass')
})

t.test('a pass that breaks is begun anew, and its readers hear nothing of it', async t => {
  const { server, readRight, gets } = await bench(t)
  await server.fault({ kind: 'cut', times: 1 })
  await readRight(2_500_000, 100_000)
  t.equal(await gets(), 2)
})

t.test('an origin that sends other than the image is refused', async t => {
  const { server, origin, image } = await bench(t)
  const read = () => origin.read(image, 2_999_000, new Uint8Array(1000), { signal })
  await server.fault({ kind: 'short', times: 1 })
  await t.rejects(read(), { code: 'origin-protocol' })
  await server.fault({ kind: 'other-etag', times: 1 })
  await t.rejects(read(), { code: 'image-changed' })
  await server.fault({ kind: 'status', status: 403, times: 1 })
  await t.rejects(read(), { code: 'access-denied' })
})

t.test('a whole answer of a server with ranges is a mistake, which its reader does not hear of', async t => {
  const { server, origin, image, gets } = await bench(t, { ranges: 'yes' })
  const read = () => origin.read(image, 100, new Uint8Array(10), { signal })
  await server.fault({ kind: 'whole', times: 1, method: 'GET' })
  await read()
  t.notOk(origin.isSequential(image))
  t.equal(await gets(), 2, 'it is asked for once more')
  await server.fault({ kind: 'whole', times: 2, method: 'GET' })
  await t.rejects(read(), { code: 'origin-protocol' }, 'once')
  t.notOk(origin.isSequential(image))
})
