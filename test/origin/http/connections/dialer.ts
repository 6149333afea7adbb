/** The ways to a web server: through a proxy, a Unix socket, or the one of its addresses that answers. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { type AddressInfo, createServer as createNetServer, type LookupFunction } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { identify } from '../../../../src/base/image.ts'
import { loadAddon } from '../../../../src/native/addon.ts'
import { Dialer } from '../../../../src/origin/http/connections/dialer.ts'
import type { HttpOptions } from '../../../../src/origin/http/http-client.ts'
import { HttpOrigin } from '../../../../src/origin/http/http-origin.ts'
import { noProxy, proxiesIn, proxyAt } from '../../../../src/origin/http/protocol/proxy-rules.ts'
import { Credentials } from '../../../../src/origin/http/request-credentials.ts'
import { noCertificates } from '../../../fixtures/certificate.ts'
import { startUnaccepting } from '../../../fixtures/deaf-server.ts'
import { type HttpProxyOptions, startHttpProxy } from '../../../fixtures/http-proxy.ts'
import { HttpResponder } from '../../../fixtures/http-responder.ts'
import { NotingReceiver, startHttps } from '../../../fixtures/https.ts'
import { keepingLogger } from '../../../fixtures/keeping-logger.ts'
import { identityIn } from '../../../fixtures/receiving.ts'

const { signal } = new AbortController()
const image = Buffer.from(Array.from({ length: 300_017 }, (_, k) => (k * 7 + (k >> 8)) % 251))
const native = loadAddon().createReceiver()
t.teardown(() => native.close())
const identity = noCertificates ? null : identityIn(t.testdir(), 'IP:127.0.0.1', 'DNS:images.test')

/** A directory with the image. */
function directoryOf(t: Test): string {
  const directory = t.testdir()
  writeFileSync(join(directory, 'a.img'), image)
  return directory
}

/** Serve the image on what `listen` says. */
async function serve(t: Test, listen: (server: Server) => void): Promise<{ server: Server; requests: () => number }> {
  const responder = new HttpResponder({ directory: directoryOf(t) })
  const server = createServer((request, response) => {
    responder.respond(request, response).catch(() => response.destroy())
  })
  listen(server)
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { server, requests: () => responder.counters().requests }
}

/** An http server under a name that resolves nowhere, or an https one. */
async function hidden(t: Test, scheme: 'http' | 'https'): Promise<string> {
  if (scheme === 'https') return (await startHttps(directoryOf(t), identity!, t)).replace('127.0.0.1', 'images.test')
  const { server } = await serve(t, server => server.listen(0, '127.0.0.1'))
  return `http://images.test:${(server.address() as AddressInfo).port}/`
}

async function proxyOf(t: Test, options: HttpProxyOptions = {}) {
  const proxy = await startHttpProxy(options)
  t.teardown(() => proxy.close())
  return proxy
}

/** All that an origin does: names, a short range, and long ones natively. */
async function readAll(t: Test, url: string, options: Partial<HttpOptions>): Promise<void> {
  const origin = new HttpOrigin(url, { ca: identity?.cert ?? null, ...options })
  t.teardown(() => origin.close())
  t.same(await origin.list({ signal }), ['a.img'])
  const found = identify(await origin.lookup('a.img', { signal }))
  t.equal(found.sizeBytes, image.length)
  for (const [offset, length] of [
    [5, 100],
    [0, image.length],
    [100_000, 200_000],
  ] as const) {
    const target = Buffer.alloc(length)
    await origin.read(found, offset, target, { signal })
    t.ok(target.equals(image.subarray(offset, offset + length)), `${length} bytes`)
  }
}

/** Notes the requests that are sent natively. */
class Counting extends NotingReceiver {
  readonly requests: string[] = []

  override ask(...facts: Parameters<NotingReceiver['ask']>): void {
    this.requests.push(Buffer.from(facts[1]).toString('latin1'))
    super.ask(...facts)
  }
}

for (const scheme of ['http', 'https'] as const) {
  const skip = scheme === 'https' && noCertificates
  t.test(`${scheme}: names and ranges go through a proxy, ranges natively`, { skip }, async t => {
    const url = await hidden(t, scheme)
    const proxy = await proxyOf(t)
    const receiver = new Counting(native)
    await readAll(t, url, { proxyFor: () => proxyAt(proxy.url), receiver })
    t.equal(receiver.requests.length, 2)
    t.ok(receiver.agreed.every(Boolean))
    const { host } = new URL(url)
    const isRight = (asked: string) =>
      scheme === 'https' ? asked === `CONNECT ${host}` : /^(GET|HEAD) http:\/\/images\.test:\d+\//.test(asked)
    t.ok(proxy.asked.length > 0 && proxy.asked.every(isRight), proxy.asked.join())
    for (const headers of proxy.headers) t.equal(headers.host, host)
  })

  t.test(`${scheme}: a proxy gets our credentials, the ones of now, and the server never`, { skip }, async t => {
    const url = await hidden(t, scheme)
    const proxy = await proxyOf(t, { credentials: 'me:first' })
    let password = 'first'
    const environment = {
      get SECRET() {
        return password
      },
    }
    let now = 0
    const basic = { username: 'me', password: { env: 'SECRET' } }
    const credentials = new Credentials({ basic }, { logger: keepingLogger(), environment, now: () => now })
    const options = { proxyFor: () => proxyAt(proxy.url, credentials) }
    const receiver = new Counting(native)
    await readAll(t, url, { ...options, receiver })
    t.equal(receiver.requests.length, 2)
    for (const request of receiver.requests) t.equal(/^proxy-authorization: /m.test(request), scheme === 'http')
    proxy.credentials = 'me:second'
    password = 'second'
    now += 3_600_000
    await readAll(t, url, { ...options, receiver: native })
    proxy.credentials = 'me:third'
    const origin = new HttpOrigin(url, { ca: identity?.cert ?? null, ...options })
    t.teardown(() => origin.close())
    await t.rejects(origin.lookup('a.img', { signal }), { code: 'access-denied', message: /407: it wants other/ })
    const without = new HttpOrigin(url, { proxyFor: () => proxyAt(proxy.url) })
    t.teardown(() => without.close())
    const failure = await without.lookup('a.img', { signal }).catch(error => error)
    t.match(failure, { code: 'access-denied', message: /407: it wants credentials/ })
  })

  t.test(`${scheme}: a proxy behind TLS`, { skip: noCertificates }, async t => {
    const url = await hidden(t, scheme)
    const proxy = await proxyOf(t, { identity, credentials: 'me:x' })
    const receiver = new Counting(native)
    await readAll(t, url, { proxyFor: () => proxyAt(proxy.url.replace('//', '//me:x@')), receiver })
    t.equal(receiver.requests.length, 0, 'in TLS with a proxy all is undici')
    t.ok(proxy.asked.length > 0)
    const other = new HttpOrigin(url, { proxyFor: () => proxyAt(proxy.url) })
    t.teardown(() => other.close())
    await t.rejects(other.lookup('a.img', { signal }), { code: 'origin-unreachable', message: /certificate/ })
  })
}

t.test('the authorities are read once for all connections of Node', { skip: noCertificates }, async t => {
  const url = await startHttps(directoryOf(t), identity!, t)
  const { createSecureContext } = tls
  let contexts = 0
  const counting: typeof createSecureContext = options => {
    contexts++
    return createSecureContext(options)
  }
  const patch = (made: typeof createSecureContext) => {
    tls.createSecureContext = made
    syncBuiltinESMExports()
  }
  patch(counting)
  t.teardown(() => patch(createSecureContext))
  const origin = new HttpOrigin(url, { ca: identity!.cert })
  t.teardown(() => origin.close())
  await Promise.all(Array.from({ length: 4 }, () => origin.lookup('a.img', { signal })))
  t.equal(contexts, 1)
})

t.test('a proxy that is away, refuses, or talks nonsense', { skip: noCertificates }, async t => {
  const url = await hidden(t, 'https')
  const facts = { origin: url, key: 'a.img', sizeBytes: image.length, validator: '"v"', modifiedMs: 0 }
  const failing = async (place: string, expected: { code: string; message?: RegExp }, connectMsMax = 60_000) => {
    for (const receiver of [native, null]) {
      const options = { proxyFor: () => proxyAt(place), receiver, ca: identity!.cert, connectMsMax }
      const origin = new HttpOrigin(url, options)
      t.teardown(() => origin.close())
      await t.rejects(origin.read(identify(facts), 0, Buffer.alloc(100_000), { signal }), expected, place)
    }
  }
  const gone = await startHttpProxy()
  await gone.close()
  await failing(gone.url, { code: 'origin-unreachable' })
  const refusing = await proxyOf(t, { refusal: 'HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n' })
  await failing(refusing.url, { code: 'origin-unreachable', message: /proxy http:.*answered 502/ })
  const garbled = await proxyOf(t, { refusal: 'SSH-2.0-OpenSSH_9.2\r\n\r\n' })
  await failing(garbled.url, { code: 'origin-protocol' })
  const talkative = await proxyOf(t, { refusal: 'HTTP/1.1 200 OK\r\n\r\nand more' })
  await failing(talkative.url, { code: 'origin-protocol', message: /more than its answer/ })
  const silent = createNetServer(socket => void socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const late = { code: 'origin-unreachable', message: /no connection in 500 ms/ }
  await failing(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`, late, 500)
})

t.test('the environment leads some hosts through a proxy', async t => {
  const url = await hidden(t, 'http')
  const proxy = await proxyOf(t)
  await readAll(t, url, { proxyFor: proxiesIn({ http_proxy: proxy.url }), receiver: native })
  t.ok(proxy.asked.length > 0)
  const { length } = proxy.asked
  const lookup: LookupFunction = (_name, options, callback) =>
    options.all ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4)
  const proxyFor = proxiesIn({ http_proxy: proxy.url, no_proxy: '.test' })
  await readAll(t, url, { proxyFor, lookup, receiver: native })
  t.equal(proxy.asked.length, length)
  t.throws(() => new HttpOrigin(url, { proxyFor: proxiesIn({ http_proxy: 'socks5://x' }) }), {
    code: 'invalid-argument',
  })
})

t.test('a server on a Unix socket', async t => {
  // Not in a test's directory: libuv cuts a socket's path at 107 bytes without a word (uv__unix_connect).
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'socket')
  const { requests } = await serve(t, server => server.listen(path))
  const receiver = new Counting(native)
  const proxyFor = () => proxyAt('http://nowhere.invalid')
  await readAll(t, 'http://images.invalid/', { unixSocket: path, receiver, proxyFor })
  t.equal(receiver.requests.length, 2)
  t.ok(requests() > 3)
  const origin = new HttpOrigin('http://images.invalid/', { unixSocket: `${path}-gone` })
  t.teardown(() => origin.close())
  await t.rejects(origin.lookup('a.img', { signal }), { code: 'origin-unreachable' })
})

t.test('an address that drops packets costs a moment, and once', async t => {
  const dead = await startUnaccepting()
  t.teardown(() => dead.close())
  const { requests } = await serve(t, server => server.listen(dead.port, '127.0.0.2'))
  const lookup: LookupFunction = (_name, _options, callback) => {
    callback(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
    ])
  }
  const url = new URL(`http://two.test:${dead.port}/`)
  const connectMsMax = 60_000
  const options = { home: url.origin, unixSocket: null, connectMsMax, ca: null, proxyFor: noProxy }
  const dialer = new Dialer({ ...options, lookupFor: () => lookup })
  const attempted = async () => {
    const { socket, connected } = dialer.dial(url)
    t.teardown(() => void socket.destroy())
    await connected
    t.equal(socket.remoteAddress, '127.0.0.2')
    return socket.autoSelectFamilyAttemptedAddresses
  }
  t.same(await attempted(), [`127.0.0.1:${dead.port}`, `127.0.0.2:${dead.port}`])
  t.same((await attempted())?.[0], `127.0.0.2:${dead.port}`)
  for (const receiver of [native, null]) await readAll(t, url.href, { lookup, receiver, connectMsMax })
  t.ok(requests() > 6)
})
