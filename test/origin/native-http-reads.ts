/** Ranges of web servers that session threads ask for by themselves: from when on, with what, and until when. */
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { identify } from '../../src/base/image.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { loadAddon } from '../../src/native/addon.ts'
import { ReaderTable } from '../../src/origin/contract/native-read-sources.ts'
import type { HttpOptions } from '../../src/origin/http/http-client.ts'
import { HttpOrigin } from '../../src/origin/http/http-origin.ts'
import { proxyAt } from '../../src/origin/http/protocol/proxy-rules.ts'
import { Credentials } from '../../src/origin/http/request-credentials.ts'
import { openOrigin } from '../../src/origin/open-origin.ts'
import { Meter } from '../../src/origin/wrappers/meter.ts'
import { noHoles } from '../fixtures/extents.ts'
import { type HttpOriginOptions, startHttpOrigin } from '../fixtures/http-origin.ts'
import { startHttpProxy } from '../fixtures/http-proxy.ts'
import { startHttps } from '../fixtures/https.ts'
import { startNativeReads } from '../fixtures/native-reads.ts'
import { pattern } from '../fixtures/pattern.ts'
import { waysToReceive } from '../fixtures/receiving.ts'
import { until } from '../fixtures/until.ts'

const { signal } = new AbortController()
const sizeBytes = 1_000_000
const image = Buffer.from(pattern(1, 0, sizeBytes))
const addon = loadAddon()
const [plain, tls] = waysToReceive(t)
const { receiver } = plain!

/** An origin with readers that a session thread uses, as the cache has it use them. */
async function open(t: Test, url: string, options: Partial<HttpOptions> = {}) {
  const grant = addon.createGrant(false, false)
  grant.limit(100)
  const readers = new ReaderTable(10, grant)
  const origin = new HttpOrigin(url, { inPlaceBytesMin: 1, receiver, readers, ...options })
  t.teardown(() => origin.close())
  const native = await startNativeReads(t, directoryIn(t), sizeBytes)
  const known = identify(await origin.lookup('a.img', { signal }))
  readers.onChange = imageId => imageId === known.id && native.use(readers.get(imageId))
  /** Through TypeScript. */
  const read = async (offset = 0, length = 4096) => {
    const target = Buffer.alloc(length)
    await origin.read(known, offset, target, { signal })
    return target.equals(image.subarray(offset, offset + length))
  }
  /** By the session thread. @returns null: TypeScript has to */
  const readNatively = async (offset: number, length = 4096) => {
    const bytes = await native.read(offset, length)
    return bytes === null ? null : bytes.equals(image.subarray(offset, offset + length))
  }
  /** TypeScript reads until the session thread can. */
  const publish = async () => {
    const both = async () => (await read()) && (await readNatively(500_000)) === true
    await until(both, 30_000, 'a native read')
  }
  return { origin, readers, grant, native, read, readNatively, publish }
}

function directoryIn(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-native-reads-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

/** One with the image. */
function directoryOf(t: Test): string {
  const directory = directoryIn(t)
  writeFileSync(join(directory, 'a.img'), image)
  return directory
}

const ofWay = { plain: 'http', tls: 'https' } as const

for (const way of ['plain', 'tls'] as const) {
  const skip = way === 'tls' && !tls && 'openssl is not installed'
  t.test(`${ofWay[way]}: after one range TypeScript is asked no more`, { skip }, async t => {
    const directory = directoryOf(t)
    const identity = way === 'tls' ? tls!.identity! : null
    const url = identity ? await startHttps(directory, identity, t) : (await served(t, directory)).url
    const { origin, native, readNatively, publish } = await open(t, url, { ca: identity?.cert ?? null })
    t.equal(await readNatively(0), null, 'nothing is known yet')
    t.equal(native.reader, null)
    await publish()
    for (let k = 0; k < 20; k++) t.equal(await readNatively(k * 49_152, 1 + k * 200), true)
    t.equal(await readNatively(sizeBytes - 100, 100), true, 'the end')
    await origin.close()
    t.equal(native.reader, null)
    t.equal(await readNatively(0), null)
  })
}

async function served(t: Test, directory: string, options: Partial<HttpOriginOptions> = {}) {
  const server = await startHttpOrigin({ directory, ...options })
  t.teardown(() => server.close())
  return server
}

t.test('each kind of version is compared, and requests are those of TypeScript', async t => {
  for (const etag of ['strong', 'weak', 'none'] as const) {
    const server = await served(t, directoryOf(t), { etag })
    const { native, publish, readNatively } = await open(t, server.url)
    await publish()
    const { log } = await server.counters()
    const [first, last] = [log.find(({ headers }) => headers.range === 'bytes=0-4095'), log.at(-1)]
    t.equal(last?.headers.range, 'bytes=458752-524287')
    t.same({ ...last?.headers, range: '' }, { ...first?.headers, range: '' }, etag)
    await server.fault({ kind: etag === 'strong' ? 'other-etag' : 'no-etag' })
    t.equal(await readNatively(0), null, etag)
    t.ok(native.reader)
  }
})

t.test('any other answer comes to TypeScript, and the image is left to that for a while', async t => {
  for (const kind of ['whole', 'wrong-range', 'other-size', 'encoded', 'redirect', 'short-chunked'] as const) {
    const server = await served(t, directoryOf(t))
    const { read, readNatively, publish } = await open(t, server.url)
    await publish()
    await server.fault({ kind, times: 1, location: '/b.img' })
    t.equal(await readNatively(0), null, kind)
    await server.reset()
    for (let k = 0; k < 3; k++) t.equal(await readNatively(0), null)
    t.equal((await server.counters()).requests, 0, 'it is not asked again and again')
    t.ok(await read())
    t.equal(await readNatively(0), null, kind)
  }
})

t.test('a connection that breaks, or that the server has closed, is replaced', async t => {
  const server = await served(t, directoryOf(t))
  const { readNatively, publish } = await open(t, server.url)
  await publish()
  for (const kind of ['reset', 'cut'] as const) {
    await server.fault({ kind, times: 1 })
    t.equal(await readNatively(0), null, kind)
    await publish()
  }
  await server.fault({ kind: 'status', status: 503, times: 1 })
  t.equal(await readNatively(0), null)
})

t.test('an image that has changed has no reader any more', async t => {
  const directory = directoryOf(t)
  const server = await served(t, directory)
  const { native, read, readNatively, publish } = await open(t, server.url)
  await publish()
  writeFileSync(join(directory, 'next'), image.subarray(1))
  renameSync(join(directory, 'next'), join(directory, 'a.img'))
  t.equal(await readNatively(0), null)
  t.ok(native.reader, 'a session thread judges no answers')
  await t.rejects(read(), { code: 'image-changed' })
  t.equal(native.reader, null)
})

t.test('a secret is sent as long as it is fresh, and another one takes its place', async t => {
  const server = await served(t, directoryOf(t), { credentials: 'me:first' })
  let password = 'first'
  const environment = {
    get SECRET() {
      return password
    },
  }
  let nowMs = 0
  const basic = { username: 'me', password: { env: 'SECRET' } }
  const credentials = new Credentials({ basic }, { logger: silentLogger, environment, now: () => nowMs })
  const { read, readNatively, publish } = await open(t, server.url, { authorizer: credentials })
  await publish()
  await server.fault({ kind: 'status', status: 401, times: 1 })
  t.equal(await readNatively(0), null)
  password = 'second'
  nowMs += 3_600_000
  // TypeScript reads the secret anew, and that is another request.
  await server.fault({ kind: 'status', status: 401, times: 1 })
  await t.rejects(read(), { code: 'access-denied' })
})

t.test('credentials that are renewed because the server refuses them are those of session threads at once', async t => {
  for (const refusesNatively of [true, false]) {
    let [password, accepted] = ['first', 'first']
    const environment = {
      get SECRET() {
        return password
      },
    }
    const directory = directoryOf(t)
    const server = await startHttpOrigin({
      directory,
      get credentials() {
        return `me:${accepted}`
      },
    })
    t.teardown(() => server.close())
    const basic = { username: 'me', password: { env: 'SECRET' } }
    const authorizer = new Credentials({ basic }, { logger: silentLogger, environment })
    const { native, read, readNatively, publish } = await open(t, server.url, { authorizer })
    await publish()
    const before = native.reader
    password = accepted = 'second'
    if (refusesNatively) t.equal(await readNatively(0), null, 'a session thread does not renew them')
    await server.reset()
    t.ok(await read(), 'TypeScript does, and asks again')
    t.equal((await server.counters()).requests, 2)
    t.not(native.reader, before)
    await until(async () => (await readNatively(500_000)) === true, 30_000, 'a native read')
    const asked = (await server.counters()).requests
    for (let k = 0; k < 5; k++) t.equal(await readNatively(k * 49_152), true)
    t.equal((await server.counters()).requests, asked + 5, 'none is refused any more')
  }
})

t.test('a redirect that is remembered is followed natively, and no other one', async t => {
  for (const isRemembered of [true, false]) {
    const target = await served(t, directoryOf(t))
    const leading = createServer((_, response) => {
      const location = `${target.url}a.img`
      response.writeHead(302, { location, ...(isRemembered ? { 'cache-control': 'max-age=3600' } : {}) }).end()
    }).listen(0, '127.0.0.1')
    await once(leading, 'listening')
    t.teardown(() => leading.close().closeAllConnections())
    const { port } = leading.address() as AddressInfo
    const { native, read, readNatively, publish } = await open(t, `http://127.0.0.1:${port}/`)
    if (isRemembered) await publish()
    else t.ok(await read())
    t.equal(native.reader !== null, isRemembered)
    t.equal(await readNatively(0), isRemembered ? true : null)
  }
})

t.test('through proxies and Unix sockets it goes as ranges of TypeScript go', async t => {
  const server = await served(t, directoryOf(t))
  const proxy = await startHttpProxy({ credentials: 'me:secret' })
  t.teardown(() => proxy.close())
  const proxyFor = () => proxyAt(proxy.url.replace('//', '//me:secret@'))
  const { publish } = await open(t, server.url, { proxyFor })
  await publish()
  t.ok(proxy.asked.length > 2)
  t.ok(proxy.asked.every(asked => asked.endsWith(` ${server.url}a.img`)))
})

t.test('without a receiver, without a table, and of short ranges nothing is published', async t => {
  const server = await served(t, directoryOf(t))
  for (const options of [{ receiver: null }, { readers: null }, { inPlaceBytesMin: 65_536 }]) {
    const { native, read } = await open(t, server.url, options)
    for (let k = 0; k < 3; k++) t.ok(await read())
    t.equal(native.reader, null)
  }
})

t.test('session threads read as much as the grant allows', async t => {
  const server = await served(t, directoryOf(t))
  const { grant, native, readNatively, publish } = await open(t, server.url)
  await publish()
  t.equal(grant.limit(0), 0)
  await server.reset()
  t.equal(await readNatively(0), null)
  grant.limit(1)
  for (let k = 0; k < 5; k++) t.equal(await readNatively(0), true, 'each gives its slot back')
  t.equal((await server.counters()).requests, 5)
  t.same(grant.refill(1, 1), { reads: 0, bytes: 0 }, 'there is no ration')
  const rationed = addon.createGrant(true, true)
  rationed.limit(10)
  native.use(rationed.reader(native.reader!))
  t.equal(await readNatively(0), null, 'the ration is empty')
  t.same(rationed.refill(3, 140_000), { reads: 3, bytes: 140_000 })
  t.same([await readNatively(0), await readNatively(0), await readNatively(0)], [true, true, null], 'bytes')
  t.same(rationed.refill(1, 140_000), { reads: 0, bytes: 131_072 })
  t.same([await readNatively(0), await readNatively(0)], [true, null], 'reads')
  t.throws(() => grant.reader(null as never), TypeError)
  t.throws(() => grant.limit(-1), RangeError)
})

t.test('requests whose answers cannot be used are counted', async t => {
  const server = await served(t, directoryOf(t))
  const { readers, read, readNatively, publish } = await open(t, server.url)
  let failed = 0
  readers.onFailed = count => {
    failed += count
  }
  await publish()
  await server.fault({ kind: 'status', status: 503, times: 1 })
  t.equal(await readNatively(0), null)
  t.ok(await read())
  t.equal(failed, 1)
})

t.test('session threads keep the rates of an origin, and their reads count like all others', async t => {
  const server = await served(t, directoryOf(t))
  const meter = new Meter()
  const readers = new ReaderTable(10, addon.createGrant(true, false))
  // Nothing comes back while the test runs.
  const throttle = { reads: { perSecond: 0.001, burst: 3 }, bytes: { perSecond: 0, burst: 0 } }
  const http = { inPlaceBytesMin: 1 }
  const origin = openOrigin(server.url, { addon: noHoles, meter, receiver, readers, options: { throttle, http } })
  t.teardown(() => origin.close())
  const native = await startNativeReads(t, directoryIn(t), sizeBytes)
  const known = identify(await origin.lookup('a.img', { signal }))
  readers.onChange = imageId => native.use(readers.get(imageId))
  await origin.read(known, 0, Buffer.alloc(4096), { signal })
  const isRead = async () => (await native.read(0, 10)) !== null
  await until(isRead, 30_000, 'a native read')
  t.notOk(await isRead(), 'one is given ahead')
  readers.onAnswered(known, 65_536, 3)
  t.ok(await isRead())
  readers.onAnswered(known, 65_536, 3)
  for (let k = 0; k < 3; k++) t.notOk(await isRead(), 'the burst is used up')
  readers.onFailed(2)
  t.same(meter.counters(), { requests: 6, bytes: 4096 + 2 * 65_536, errors: 0, cancelled: 2 })
  t.equal((await server.counters()).methods.GET, 3)
  t.equal(meter.details().inFlight, 0)
})
