/**
 * Origins as the daemon opens them: by URL, with all their wrappers.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { identify } from '../../src/base/image.ts'
import { loadAddon } from '../../src/native/addon.ts'
import { openOrigin } from '../../src/origin/open-origin.ts'
import { Meter } from '../../src/origin/wrappers/meter.ts'
import { originContract } from '../contract/origin.ts'
import { noHoles } from '../fixtures/extents.ts'
import { startHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'

const signal = new AbortController().signal

originContract('an opened directory', async directory => openOrigin(pathToFileURL(directory).href, { addon: noHoles }))

originContract('an opened web server', async (directory, t) => {
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  return openOrigin(server.url, { addon: noHoles })
})

t.test('a URL that is no origin is an invalid argument, and its password is not repeated', async t => {
  for (const url of [
    '',
    'images',
    '/images',
    'ftp://me:secret@host/',
    'http://me:secret@ho st/',
    'file://host/images',
  ]) {
    t.throws(() => openOrigin(url, { addon: noHoles }), { code: 'invalid-argument' }, url)
    try {
      openOrigin(url, { addon: noHoles })
    } catch (error) {
      t.notMatch(String(error), /secret/)
    }
  }
})

t.test('a query or a fragment is an invalid argument, and the query is not repeated', async t => {
  t.throws(() => openOrigin('http://host/?token=secret', { addon: noHoles }), {
    code: 'invalid-argument',
    message: /^[^?]*$/,
  })
  t.throws(() => openOrigin('http://host/#here', { addon: noHoles }), { code: 'invalid-argument' })
})

t.test('an origin that is not there is origin-unreachable, and the message begins with its URL', async t => {
  const directory = t.testdir()
  const server = await startHttpOrigin({ directory })
  await server.close()
  for (const url of [server.url, `${pathToFileURL(directory).href}/missing`]) {
    const origin = openOrigin(url, { addon: noHoles })
    t.teardown(() => origin.close())
    await t.rejects(origin.list({ signal }), {
      code: 'origin-unreachable',
      message: new RegExp(`^${origin.url}`),
    })
  }
})

t.test('a meter sees the requests, bytes and errors of an opened origin, retries included', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const meter = new Meter()
  const origin = openOrigin(server.url, { addon: noHoles, meter })
  t.teardown(() => origin.close())
  const facts = await origin.lookup('a.img', { signal })
  await server.fault({ kind: 'status', status: 503, times: 1 })
  await origin.read({ ...facts, id: 'x' }, 0, new Uint8Array(100), { signal })
  t.same(meter.counters(), { requests: 3, bytes: 100, errors: 1, cancelled: 0 })
  t.equal((await server.counters()).requests, 3)
})

t.test('a read whose connection breaks is tried again from its first byte, and counted once', async t => {
  const sample = { seed: 4, sizeBytes: 300_000, dataShare: 1 }
  const directory = t.testdir()
  writeSample(join(directory, 'a.img'), sample)
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const meter = new Meter()
  const origin = openOrigin(server.url, { addon: noHoles, meter, receiver: loadAddon().createReceiver() })
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  for (const kind of ['cut', 'reset'] as const) {
    await server.fault({ kind, times: 2 })
    const target = new Uint8Array(200_000).fill(0xa5)
    await origin.read(image, 50_000, target, { signal })
    t.ok(sampleBytes(sample, 50_000, 200_000).equals(target), kind)
  }
  // The first reset met a connection that had been idle: that is asked again on a new one, and no failure.
  t.same(meter.counters(), { requests: 6, bytes: 400_000, errors: 3, cancelled: 0 })
})

t.test('an answer that may not be served is not asked for again', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const origin = openOrigin(server.url, { addon: noHoles })
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  for (const [kind, code] of [
    ['wrong-range', 'origin-protocol'],
    ['other-etag', 'image-changed'],
  ] as const) {
    await server.reset()
    await server.fault({ kind })
    await t.rejects(origin.read(image, 0, new Uint8Array(100), { signal }), { code })
    t.equal((await server.counters()).requests, 1, kind)
  }
})

t.test('closing ends callers who wait for their turn', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const origin = openOrigin(server.url, { addon: noHoles, options: { concurrencyMax: 1 } })
  await server.fault({ kind: 'stall-before-headers' })
  const calls = ['a', 'b', 'c'].map(name => t.rejects(origin.lookup(name, { signal }), { code: 'closed' }))
  await until(async () => (await server.counters()).requests === 1, 10_000, 'the first has been sent')
  await origin.close()
  await Promise.all(calls)
})
