/**
 * A web server as an origin: every kind that can be one, every kind that cannot, every wrong answer.
 */
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ErrorCode } from '../../../src/base/errors.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import { HttpOrigin } from '../../../src/origin/http/http-origin.ts'
import { redirectsMax } from '../../../src/origin/http/limits.ts'
import { originContract } from '../../contract/origin.ts'
import {
  type Fault,
  type HttpOriginOptions,
  type HttpOriginServer,
  spawnHttpOrigin,
  startHttpOrigin,
} from '../../fixtures/http-origin.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { until } from '../../fixtures/until.ts'

const signal = new AbortController().signal

for (const variant of [
  {},
  { listing: 'html' },
  { etag: 'weak', listing: 'none' },
  { etag: 'none', ranges: 'silent' },
  { head: false },
] as const) {
  originContract(`a web server ${JSON.stringify(variant)}`, async (directory, t) => {
    const server = await startHttpOrigin({ directory, ...variant })
    t.teardown(() => server.close())
    return new HttpOrigin(server.url)
  })
}

originContract('a slow web server in another process', async (directory, t) => {
  const server = await spawnHttpOrigin({ directory, delayMs: 3, bytesPerSecond: 50 * 1024 * 1024 })
  t.teardown(() => server.close())
  return new HttpOrigin(server.url)
})

const sample = { seed: 9, sizeBytes: 200_001, dataShare: 1 }

interface Bench {
  readonly server: HttpOriginServer
  readonly origin: HttpOrigin
  readonly directory: string
}

/** A server with one image `a.img` and an empty one `empty`, and an origin on it. */
async function bench(t: Test, options: Partial<HttpOriginOptions> = {}): Promise<Bench> {
  const directory = t.testdir({ empty: '' })
  writeFileSync(join(directory, 'a.img'), sampleBytes(sample, 0, sample.sizeBytes))
  const server = await startHttpOrigin({ directory, ...options })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url)
  t.teardown(() => origin.close())
  return { server, origin, directory }
}

async function imageOf({ origin }: Bench): Promise<Image> {
  return identify(await origin.lookup('a.img', { signal }))
}

/** Does a read of the middle work, with the right bytes? */
async function readsWell(origin: HttpOrigin, image: Image): Promise<boolean> {
  const target = new Uint8Array(50_000)
  await origin.read(image, 70_000, target, { signal })
  return sampleBytes(sample, 70_000, 50_000).equals(target)
}

t.test('an answer to a read that is not exactly what was asked for is never served', async t => {
  const cases: readonly (readonly [Fault, ErrorCode])[] = [
    [{ kind: 'status', status: 401 }, 'access-denied'],
    [{ kind: 'status', status: 403 }, 'access-denied'],
    [{ kind: 'status', status: 404 }, 'image-changed'],
    [{ kind: 'status', status: 410 }, 'image-changed'],
    [{ kind: 'status', status: 412 }, 'image-changed'],
    [{ kind: 'status', status: 416 }, 'image-changed'],
    [{ kind: 'other-etag' }, 'image-changed'],
    [{ kind: 'status', status: 408 }, 'origin-failed'],
    [{ kind: 'status', status: 429 }, 'origin-failed'],
    [{ kind: 'status', status: 500 }, 'origin-failed'],
    [{ kind: 'status', status: 503 }, 'origin-failed'],
    [{ kind: 'reset' }, 'origin-failed'],
    [{ kind: 'cut' }, 'origin-failed'],
    [{ kind: 'status', status: 204 }, 'origin-protocol'],
    [{ kind: 'status', status: 304 }, 'origin-protocol'],
    [{ kind: 'status', status: 400 }, 'origin-protocol'],
    [{ kind: 'short' }, 'origin-protocol'],
    [{ kind: 'short-chunked' }, 'origin-protocol'],
    [{ kind: 'long' }, 'origin-protocol'],
    [{ kind: 'whole' }, 'origin-protocol'],
    [{ kind: 'wrong-range' }, 'origin-protocol'],
    [{ kind: 'multipart' }, 'origin-protocol'],
    [{ kind: 'other-size' }, 'origin-protocol'],
    [{ kind: 'no-etag' }, 'origin-protocol'],
    [{ kind: 'gzip' }, 'origin-protocol'],
    [{ kind: 'encoded' }, 'origin-protocol'],
    [{ kind: 'html' }, 'origin-protocol'],
    [{ kind: 'garbage' }, 'origin-protocol'],
  ]
  const { server, origin } = await bench(t)
  const image = identify(await origin.lookup('a.img', { signal }))
  for (const [fault, code] of cases) {
    await server.fault({ ...fault, times: 1 })
    await t.rejects(readsWell(origin, image), { code }, JSON.stringify(fault))
    t.ok(await readsWell(origin, image), `and works again after ${JSON.stringify(fault)}`)
  }
})

t.test('an answer that does not come, or stops, is never served', async t => {
  const { server, origin } = await bench(t)
  const image = identify(await origin.lookup('a.img', { signal }))
  const impatient = new HttpOrigin(server.url, { firstByteMsMax: 200, stallMsMax: 200 })
  t.teardown(() => impatient.close())
  for (const kind of ['stall-before-headers', 'stall-after-headers'] as const) {
    await server.fault({ kind })
    await t.rejects(readsWell(impatient, image), { code: 'origin-timeout' }, kind)
  }
})

t.test('a read of a version known by its date alone is compared with the date', async t => {
  for (const etag of ['none', 'weak'] as const) {
    const all = await bench(t, { etag })
    const image = await imageOf(all)
    t.ok(await readsWell(all.origin, image))
    const { headers } = (await all.server.counters()).log.at(-1)!
    t.equal(headers['if-unmodified-since'], statSync(join(all.directory, 'a.img')).mtime.toUTCString())
    t.equal(headers['if-match'], undefined)
    await all.server.fault({ kind: 'no-etag', times: 1 })
    await t.rejects(readsWell(all.origin, image), { code: 'origin-protocol' })
  }
})

t.test('a weak ETag that changes under the same date is another version', async t => {
  const all = await bench(t, { etag: 'weak' })
  const image = await imageOf(all)
  await all.server.fault({ kind: 'other-etag' })
  await t.rejects(readsWell(all.origin, image), { code: 'image-changed' })
})

t.test('a read asks for one range of one version, not encoded, in one request', async t => {
  const { server, origin } = await bench(t)
  const image = identify(await origin.lookup('a.img', { signal }))
  await server.reset()
  await origin.read(image, 10, new Uint8Array(20), { signal })
  const { requests, log } = await server.counters()
  t.equal(requests, 1)
  t.match(log[0], {
    method: 'GET',
    headers: { range: 'bytes=10-29', 'if-match': image.validator, 'accept-encoding': 'identity' },
  })
})

t.test(
  'a server that lacks what an origin needs is origin-unsupported at lookup, and the message says what',
  async t => {
    const cases: readonly (readonly [Partial<HttpOriginOptions>, RegExp])[] = [
      [{ ranges: 'no' }, /ranges/],
      [{ ranges: 'no', head: false }, /ranges/],
      [{ etag: 'none', lastModified: false }, /ETag or Last-Modified/],
      [{ etag: 'weak', lastModified: false }, /ETag or Last-Modified/],
    ]
    for (const [options, message] of cases) {
      const { origin } = await bench(t, options)
      await t.rejects(
        origin.lookup('a.img', { signal }),
        { code: 'origin-unsupported', message },
        JSON.stringify(options),
      )
    }
    const { server, origin } = await bench(t)
    await server.fault({ kind: 'gzip' })
    await t.rejects(origin.lookup('a.img', { signal }), { code: 'origin-unsupported', message: /encodes/ })
    await server.fault({ kind: 'html' })
    await t.rejects(origin.lookup('a.img', { signal }), { code: 'origin-unsupported', message: /Content-Length/ })
  },
)

t.test('an empty image needs no ranges', async t => {
  for (const options of [{ ranges: 'silent' }, { head: false }, { head: false, ranges: 'silent' }] as const) {
    const { origin } = await bench(t, options)
    t.equal((await origin.lookup('empty', { signal })).sizeBytes, 0, JSON.stringify(options))
  }
})

t.test('what a failed lookup means comes from the status', async t => {
  const { server, origin } = await bench(t)
  const cases: readonly (readonly [number, ErrorCode])[] = [
    [401, 'access-denied'],
    [403, 'access-denied'],
    [404, 'not-found'],
    [410, 'not-found'],
    [429, 'origin-failed'],
    [502, 'origin-failed'],
    [418, 'origin-protocol'],
  ]
  for (const [status, code] of cases) {
    await server.fault({ kind: 'status', status })
    await t.rejects(origin.lookup('a.img', { signal }), { code }, `${status}`)
  }
})

t.test('a server without HEAD is asked for it once', async t => {
  const { server, origin } = await bench(t, { head: false })
  await origin.lookup('a.img', { signal })
  await origin.lookup('a.img', { signal })
  t.same((await server.counters()).methods, { HEAD: 1, GET: 2 })
})

t.test('credentials go out as a header and into no URL and no message', async t => {
  const { server } = await bench(t, { credentials: 'me:p@ss%' })
  const origin = new HttpOrigin(server.url.replace('//', '//me:p%40ss%25@'))
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  t.ok(await readsWell(origin, image))
  t.equal(origin.url, server.url)
  t.equal(image.origin, server.url)
  await server.fault({ kind: 'status', status: 500 })
  await t.rejects(readsWell(origin, image), { message: /^(?!.*(p@ss|p%40ss|me:)).*$/s })
  const stranger = new HttpOrigin(server.url)
  t.teardown(() => stranger.close())
  await server.fault(null)
  await t.rejects(stranger.list({ signal }), { code: 'access-denied' })
})

t.test('a redirect is followed, with credentials only where they belong', async t => {
  const { server } = await bench(t)
  const other = await bench(t)
  const origin = new HttpOrigin(server.url.replace('//', '//me:secret@'))
  t.teardown(() => origin.close())
  await server.fault({ kind: 'redirect', path: '/a.img', location: `${other.server.url}a.img?signed=1` })
  const image = identify(await origin.lookup('a.img', { signal }))
  t.ok(await readsWell(origin, image))
  t.equal(image.origin, server.url)
  t.ok((await server.counters()).log.every(({ headers }) => headers.authorization !== undefined))
  t.ok((await other.server.counters()).log.every(({ headers }) => headers.authorization === undefined))
  t.same((await other.server.counters()).methods, { HEAD: 1, GET: 1 })
  await other.server.fault({ kind: 'status', status: 500 })
  await t.rejects(readsWell(origin, image), { code: 'origin-failed', message: /^[^?]*$/ })
})

t.test('a redirect without end, to nowhere, or to what is no web server is origin-protocol', async t => {
  const { server, origin } = await bench(t)
  await server.fault({ kind: 'redirect', location: '/a.img' })
  await t.rejects(origin.lookup('a.img', { signal }), { code: 'origin-protocol' })
  t.equal((await server.counters()).requests, redirectsMax + 1)
  for (const location of ['file:///etc/passwd', 'ftp://host/', 'http://']) {
    await server.fault({ kind: 'redirect', location })
    await t.rejects(origin.lookup('a.img', { signal }), { code: 'origin-protocol' }, location)
  }
  await server.fault({ kind: 'redirect', location: '/empty', times: redirectsMax })
  t.equal((await origin.lookup('a.img', { signal })).sizeBytes, 0, 'as many as allowed')
})

t.test('a caller who leaves while the server is silent is let go at once', async t => {
  const { server } = await bench(t)
  // Nothing else ends its reads before the test's own time is over.
  const never = 24 * 3_600_000
  const origin = new HttpOrigin(server.url, { firstByteMsMax: never, stallMsMax: never })
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  for (const kind of ['stall-before-headers', 'stall-after-headers', 'drip'] as const) {
    await server.fault({ kind })
    const before = (await server.counters()).requests
    const controller = new AbortController()
    const read = origin.read(image, 0, new Uint8Array(200_000), { signal: controller.signal })
    const rejected = t.rejects(read, { code: 'aborted' }, kind)
    await until(async () => (await server.counters()).requests > before, 60_000, 'the server has been asked')
    controller.abort()
    await rejected
  }
})
