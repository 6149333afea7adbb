/** Native connections of the serving port: the same answers, sent by native threads, and what goes wrong meanwhile. */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { imagePath } from '../../../src/fleet/wire/wire.ts'
import { makeCertificate, makeSignedCertificate, noCertificates } from '../../fixtures/certificate.ts'
import { forever } from '../../fixtures/rooms.ts'
import { type Asked, ask, openServing, type ServingWorld, token } from '../../fixtures/serving.ts'
import { until } from '../../fixtures/until.ts'

const sizeBytes = 8 * 64 * 4096 + 777
const patienceMs = 60_000

/** All of image `a` is here. */
async function hold({ service, served }: ServingWorld, asked: Asked = {}): Promise<string> {
  const { id } = await served.byName('a', { signal: forever })
  await ask(service.port, imagePath(id), asked)
  const isComplete = () => served.residence({ id, sizeBytes } as Parameters<typeof served.residence>[0]).complete
  await until(isComplete, patienceMs, 'the promotions')
  return id
}

/** Pages are copied at 4 KiB and 16 KiB, and spliced at 64 KiB: there no folio reaches into another object. */
for (const blockBytes of [4096, 65_536]) {
  t.test(`resident ranges are sent natively, blocks of ${blockBytes}`, async t => {
    const world = await openServing(t, {}, { blockBytes })
    const { service, origin } = world
    const id = await hold(world)
    await comparesRanges(t, world, id, {})
    t.equal(origin.requests.filter(asked => asked.startsWith('read')).length, origin.reads)
    t.ok(service.counters.nativeBytes > sizeBytes)
  })
}

t.test('resident ranges are sent natively over TLS', { skip: noCertificates }, async t => {
  const directory = t.testdir({ authority: {}, server: {} })
  const authority = makeCertificate(join(directory, 'authority'), 'DNS:group.example')
  const server = makeSignedCertificate(join(directory, 'server'), authority, 'IP:127.0.0.1')
  const world = await openServing(t, { tls: { ca: null, ...server } }, { blockBytes: 65_536 })
  const tls = { ca: readFileSync(authority.certificate) }
  const id = await hold(world, { tls })
  await comparesRanges(t, world, id, { tls })
  const { service, settings } = world
  const { nativeBytes } = service.counters
  t.ok(nativeBytes > sizeBytes)
  await (await service.prepare({ ...settings, tls: null }))()
  t.ok(service.counters.nativeBytes >= nativeBytes, 'counters go on at another port')
})

async function comparesRanges(t: Test, { service, origin }: ServingWorld, id: string, asked: Asked): Promise<void> {
  const reads = origin.reads
  const ranges: [number, number][] = [
    [0, sizeBytes],
    [0, 1],
    [1, 4096],
    [65_536, 131_072],
    [65_535, 2],
    [100_001, 900_001],
    [sizeBytes - 1, 1],
  ]
  for (const [offset, length] of ranges) {
    const headers = { range: `bytes=${offset}-${offset + length - 1}` }
    const { status, bytes } = await ask(service.port, imagePath(id), { ...asked, headers })
    t.equal(status, 206)
    t.ok(bytes.equals(origin.bytes('a', offset, length)), `${length} bytes at ${offset}`)
  }
  t.equal(origin.reads, reads, 'nothing was asked of the origin')
}

t.test('requests of one connection are answered in their order, native or not', async t => {
  const world = await openServing(t)
  const { service, origin } = world
  const id = await hold(world)
  const head = (path: string, range: string) =>
    `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${range}\r\n`
  const sent = [
    head(imagePath(id), 'Range: bytes=0-99\r\n'),
    head('/v1/images/none', ''),
    head(imagePath(id), 'Range: bytes=4090-9000\r\n'),
    head('/v1/health', ''),
    head(imagePath(id), 'Range: bytes=5-5\r\nConnection: close\r\n'),
  ]
  const received = (await exchange(t, service.port, sent.join(''))).toString('latin1')
  const statuses = received.match(/HTTP\/1\.1 \d{3}/g)?.map(line => line.slice(-3))
  t.same(statuses, ['206', '404', '206', '200', '206'])
  const expected = origin.bytes('a', 4090, 4911).toString('latin1')
  t.ok(received.includes(expected))
  t.ok(received.endsWith(origin.bytes('a', 5, 1).toString('latin1')))
})

t.test('a body and what follows it are told apart', async t => {
  const { service } = await openServing(t)
  const auth = `Host: x\r\nAuthorization: Bearer ${token}\r\n`
  const put = `PUT /v1/profile/${'0'.repeat(64)} HTTP/1.1\r\n${auth}Content-Length: 2\r\n\r\n{}`
  const get = `GET /v1/health HTTP/1.1\r\n${auth}Connection: close\r\n\r\n`
  const received = (await exchange(t, service.port, put + get)).toString('latin1')
  t.same(received.match(/HTTP\/1\.1 \d{3}/g), ['HTTP/1.1 400', 'HTTP/1.1 200'])
})

t.test('bytes that are evicted while a client takes them come from the origin', async t => {
  const world = await openServing(t, {}, { blockBytes: 65_536 })
  const { service, origin, rooms, settings } = world
  const setRate = async (bytesPerSecond: number) => (await service.prepare({ ...settings, bytesPerSecond }))()
  origin.put('big', 4 * 64 * 65_536)
  const { id } = await world.served.byName('big', { signal: forever })
  const whole = origin.bytes('big', 0, 4 * 64 * 65_536)
  const stored = () => rooms.store.find(id)
  for (let object = 0; object < 4; object++) {
    const range = `bytes=${object * 64 * 65_536}-${(object + 1) * 64 * 65_536 - 1}`
    await ask(service.port, imagePath(id), { headers: { range } })
  }
  await until(() => stored()?.complete === true, patienceMs, 'the promotions')
  const native = service.counters.nativeBytes
  await setRate(2 ** 21)
  const asked = ask(service.port, imagePath(id))
  await until(() => service.counters.nativeBytes > native, patienceMs, 'the first bytes')
  const before = origin.reads
  await rooms.cache.operations.evict('big', { signal: forever, onProgress: () => {} })
  await setRate(2 ** 40)
  const { bytes } = await asked
  t.ok(bytes.equals(whole))
  t.ok(origin.reads > before, 'some of them')
})

t.test('at a close connections without a request end at once, others are given time', async t => {
  const { service, origin } = await openServing(t)
  const idle = connect(service.port, '127.0.0.1')
  const ended = new Promise<void>(resolve => idle.on('close', () => resolve()))
  idle.on('error', () => {}).resume()
  await until(() => service.counters.connections === 1, patienceMs, 'the connection')
  let open = () => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  origin.gate = () => opened
  const asked = ask(service.port, '/v1/images/a', { headers: { range: 'bytes=0-9' } })
  await until(() => service.counters.waiting === 1, patienceMs, 'the request')
  const closed = service.close()
  await ended
  open()
  t.equal((await asked).status, 206)
  await closed
  t.equal(service.counters.connections, 0)
})

/** Send, and read until the server ends it. */
function exchange(t: Test, port: number, text: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket: Socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.on('data', chunk => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('end', () => resolve(Buffer.concat(chunks)))
    socket.write(text, 'latin1')
  })
}
