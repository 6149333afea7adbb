/**
 * Deadlines of one exchange, each shown against a server that is there and does not keep it.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { type HttpOptions, httpOptionsDefault } from '../../../src/origin/http/http-client.ts'
import { HttpOrigin } from '../../../src/origin/http/http-origin.ts'
import { dripBytesMin, informationBytesMax, informationsMax } from '../../../src/origin/http/protocol/limits.ts'
import { startSilent, startUnaccepting } from '../../fixtures/deaf-server.ts'
import { startHttpOrigin } from '../../fixtures/http-origin.ts'
import { listenFor } from '../../fixtures/receiving.ts'
import { until } from '../../fixtures/until.ts'

const signal = new AbortController().signal
/** Long enough for a deadline that is missed to be told from one that is kept, on a busy machine. */
const farMs = 60_000
const far: HttpOptions = { ...httpOptionsDefault, connectMsMax: farMs, firstByteMsMax: farMs, stallMsMax: farMs }

/** Connections of this process that keep it alive. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap').length
}

/** Time until `call` rejects with `code`. */
async function msUntil(t: Test, code: string, call: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await t.rejects(call(), { code })
  return performance.now() - startMs
}

t.test('a host that accepts no connection is origin-unreachable when the connection is due', async t => {
  const server = await startUnaccepting()
  t.teardown(() => server.close())
  const origin = new HttpOrigin(`http://127.0.0.1:${server.port}/`, { ...far, connectMsMax: 200 })
  t.teardown(() => origin.close())
  const ms = await msUntil(t, 'origin-unreachable', () => origin.lookup('a.img', { signal }))
  t.ok(ms >= 150 && ms < 30_000, `${ms} ms`)
})

t.test('a host that does not finish the TLS handshake is origin-unreachable when the connection is due', async t => {
  const server = await startSilent()
  t.teardown(() => server.close())
  const origin = new HttpOrigin(`https://127.0.0.1:${server.port}/`, { ...far, connectMsMax: 200 })
  t.teardown(() => origin.close())
  const ms = await msUntil(t, 'origin-unreachable', () => origin.lookup('a.img', { signal }))
  t.ok(ms >= 150 && ms < 30_000, `${ms} ms`)
})

t.test('a server that does not begin its answer is origin-timeout when the first byte is due', async t => {
  const server = await startSilent()
  t.teardown(() => server.close())
  const origin = new HttpOrigin(`http://127.0.0.1:${server.port}/`, { ...far, firstByteMsMax: 150 })
  t.teardown(() => origin.close())
  const ms = await msUntil(t, 'origin-timeout', () => origin.lookup('a.img', { signal }))
  t.ok(ms >= 149 && ms < 30_000, `${ms} ms`)
})

t.test('waiting for a free connection counts towards the first byte', async t => {
  const server = await startSilent()
  t.teardown(() => server.close())
  const origin = new HttpOrigin(`http://127.0.0.1:${server.port}/`, { ...far, firstByteMsMax: 150, connectionsMax: 1 })
  t.teardown(() => origin.close())
  const calls = ['a', 'b', 'c'].map(name => msUntil(t, 'origin-timeout', () => origin.lookup(name, { signal })))
  for (const ms of await Promise.all(calls)) t.ok(ms < 30_000, `${ms} ms`)
})

t.test('a reader that leaves waits for no head, and one that stays has a time for it', async t => {
  const server = await startSilent()
  t.teardown(() => server.close())
  const hanging = () => new Promise<never>(() => {})
  const authorizer = { refusals: new Set<number>(), authorize: hanging, refused: hanging }
  const origin = new HttpOrigin(`http://127.0.0.1:${server.port}/`, { ...far, firstByteMsMax: 150, authorizer })
  t.teardown(() => origin.close())
  await t.rejects(origin.lookup('a', { signal }), { code: 'origin-timeout' })
  const controller = new AbortController()
  const asking = origin.lookup('a', { signal: controller.signal })
  controller.abort()
  await t.rejects(asking, { code: 'aborted' })
})

t.test('an answer that stops or trickles is origin-timeout when more is due, and one that goes on is not', async t => {
  const directory = t.testdir()
  writeFileSync(join(directory, 'a.img'), 'x'.repeat(300_000))
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url, { ...far, stallMsMax: 1000 })
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  await server.fault({ kind: 'stall-after-headers' })
  const stoppedMs = await msUntil(t, 'origin-timeout', () => origin.read(image, 0, new Uint8Array(20), { signal }))
  t.ok(stoppedMs >= 999 && stoppedMs < 30_000, `${stoppedMs} ms`)
  await server.fault({ kind: 'drip' })
  const target = new Uint8Array(2 * dripBytesMin)
  const drippedMs = await msUntil(t, 'origin-timeout', () => origin.read(image, 0, target, { signal }))
  t.ok(drippedMs >= 999 && drippedMs < 30_000, `${drippedMs} ms`)
  // Seventy pieces, one each 20 ms: longer together than the time that each has.
  await server.fault({ kind: 'drip', pieceBytes: dripBytesMin })
  await origin.read(image, 0, new Uint8Array(70 * dripBytesMin), { signal })
})

t.test('a server that is not there, or a name that nobody knows, is origin-unreachable', async t => {
  const server = await startSilent()
  await server.close()
  for (const url of [`http://127.0.0.1:${server.port}/`, 'http://no-such-host.invalid/']) {
    const origin = new HttpOrigin(url)
    t.teardown(() => origin.close())
    await t.rejects(origin.lookup('a.img', { signal }), { code: 'origin-unreachable', message: new RegExp(url) }, url)
  }
})

t.test('closing ends the calls that are under way', async t => {
  const server = await startSilent()
  t.teardown(() => server.close())
  const origin = new HttpOrigin(`http://127.0.0.1:${server.port}/`, far)
  const lookup = origin.lookup('a.img', { signal })
  const rejected = t.rejects(lookup, { code: 'closed' })
  await new Promise(resolve => setImmediate(resolve))
  await origin.close()
  await rejected
})

t.test('a connection is used again after an answer that was refused for its headers', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url, { ...far, connectionsMax: 1 })
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  await server.reset()
  for (const kind of ['whole', 'wrong-range', 'other-etag', 'status'] as const) {
    await server.fault({ kind, times: 1 })
    await t.rejects(origin.read(image, 0, new Uint8Array(100), { signal }))
    await origin.read(image, 0, new Uint8Array(100), { signal })
  }
  const ports = new Set((await server.counters()).log.map(({ port }) => port))
  t.equal(ports.size, 1)
})

t.test('reads one after the other, and reads at once, keep to the connections there are', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url, { ...far, connectionsMax: 4 })
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  await server.reset()
  for (let k = 0; k < 20; k++) await origin.read(image, k, new Uint8Array(100), { signal })
  const few = new Set((await server.counters()).log.map(({ port }) => port))
  t.ok(few.size <= 2, `${few.size} connections`)
  const calls = Array.from({ length: 40 }, (_, k) => {
    return origin.read(image, k, new Uint8Array(100), { signal: new AbortController().signal })
  })
  await Promise.all(calls)
  const all = new Set((await server.counters()).log.map(({ port }) => port))
  t.ok(all.size <= 4, `${all.size} connections`)
})

t.test('redirects to ever new hosts keep a bounded number of connections', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const home = await startHttpOrigin({ directory })
  t.teardown(() => home.close())
  const origin = new HttpOrigin(home.url, far)
  t.teardown(() => origin.close())
  const before = openSockets()
  const image = identify(await origin.lookup('a.img', { signal }))
  for (let k = 0; k < 20; k++) {
    const mirror = await startHttpOrigin({ directory })
    t.teardown(() => mirror.close())
    await home.fault({ kind: 'redirect', location: `${mirror.url}a.img` })
    await origin.read(image, k, new Uint8Array(100), { signal })
  }
  // The servers' ends of eight connections; our own idle ones do not count as active.
  await until(() => openSockets() - before <= 8, 60_000, 'connections to the first mirrors are closed')
})

t.test('a redirect is remembered for ranges until it expires or fails, and never for names', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(200_000) })
  const [home, mirror, other] = [
    await startHttpOrigin({ directory }),
    await startHttpOrigin({ directory }),
    await startHttpOrigin({ directory }),
  ]
  t.teardown(() => Promise.all([home.close(), mirror.close(), other.close()]))
  const receiver = loadAddon().createReceiver()
  t.teardown(() => receiver.close())
  const signed = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const leadTo = (url: string, seconds: number) =>
    home.fault({ kind: 'redirect', location: `${url}a.img?X-Amz-Date=${signed}&X-Amz-Expires=${seconds}` })
  for (const way of [null, receiver]) {
    const origin = new HttpOrigin(home.url, { ...far, receiver: way })
    t.teardown(() => origin.close())
    await home.fault(null)
    await mirror.fault(null)
    const image = identify(await origin.lookup('a.img', { signal }))
    for (const server of [home, mirror, other]) await server.reset()
    const read = async () => {
      const target = Buffer.alloc(100_000)
      await origin.read(image, 7, target, { signal })
      t.ok(target.every(byte => byte === 0x78))
    }
    const counts = async () => {
      const all = await Promise.all([home, mirror, other].map(server => server.counters()))
      return all.map(({ requests }) => requests)
    }
    await leadTo(mirror.url, 36_000)
    for (let k = 0; k < 3; k++) await read()
    t.same(await counts(), [1, 3, 0])
    await origin.lookup('a.img', { signal })
    t.equal((await counts())[0], 2, 'a name is asked where we were told')
    await leadTo(other.url, 36_000)
    await mirror.fault({ kind: 'status', status: 403 })
    const before = await counts()
    for (let k = 0; k < 3; k++) await read()
    t.same(await counts(), [before[0]! + 1, before[1]! + 1, before[2]! + 3], 'where it is refused we ask again')
    await other.fault({ kind: 'other-etag' })
    await t.rejects(read(), { code: 'image-changed' })
    await other.fault(null)
    await leadTo(other.url, 0)
    const then = await counts()
    for (let k = 0; k < 2; k++) await read()
    t.equal((await counts())[0], then[0]! + 2, 'one that has expired leads once')
  }
})

t.test(
  'a name whose answer has too many before it is origin-protocol, and as many as may be are passed over',
  async t => {
    const early = 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'
    const long = `HTTP/1.1 103 Early Hints\r\nLink: ${'x'.repeat(informationBytesMax / 2)}\r\n\r\n`
    const answer = 'HTTP/1.1 200 OK\r\nETag: "v"\r\nAccept-Ranges: bytes\r\nContent-Length: 7\r\n\r\n'
    let before = early.repeat(informationsMax)
    const { url, server } = await listenFor(null, socket => {
      socket.on('error', () => {})
      socket.on('data', () => socket.write(before + answer))
    })
    const origin = new HttpOrigin(url, far)
    t.teardown(async () => {
      await origin.close()
      server.close()
    })
    t.equal((await origin.lookup('a', { signal })).sizeBytes, 7)
    for (const many of [early.repeat(informationsMax + 1), long.repeat(2)]) {
      before = many
      await t.rejects(origin.lookup('a', { signal }), { code: 'origin-protocol', message: /before the answer/ })
    }
  },
)
