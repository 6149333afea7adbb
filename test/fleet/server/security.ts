/** The serving port against strangers: certificates, tokens, garbage, crowds of connections. */
import { mkdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { addressConnectionsMax } from '../../../src/fleet/server/limits.ts'
import { healthPath, imagePath } from '../../../src/fleet/wire/wire.ts'
import { type Certificate, makeCertificate, makeSignedCertificate, noCertificates } from '../../fixtures/certificate.ts'
import { forever } from '../../fixtures/rooms.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'
import { ask, openServing, token } from '../../fixtures/serving.ts'
import { until } from '../../fixtures/until.ts'

const patienceMs = 60_000
/** Requests in make test's time; more by `OPERATIONS=n`. */
const fuzzed = Number(process.env.OPERATIONS ?? 100_000)

interface Group {
  readonly authority: Certificate
  readonly server: Certificate
  readonly client: Certificate
}

function groupIn(t: Test): Group {
  const directory = t.testdir({ authority: {}, server: {}, client: {} })
  const at = (name: string) => join(directory, name)
  const authority = makeCertificate(at('authority'), 'DNS:group.example')
  const server = makeSignedCertificate(at('server'), authority, 'IP:127.0.0.1')
  return { authority, server, client: makeSignedCertificate(at('client'), authority, 'DNS:client.example') }
}

const identityOf = ({ certificate, key }: Certificate) => ({ cert: readFileSync(certificate), key: readFileSync(key) })

t.test('certificates of the group are let in, others are not', { skip: noCertificates }, async t => {
  const { authority, server, client } = groupIn(t)
  const files = { ca: authority.certificate, ...server }
  const { service, origin, settings } = await openServing(t, { tls: files, token: null })
  const ca = readFileSync(authority.certificate)
  const said = async (tls: object, more = {}) =>
    (await ask(service.port, '/v1/images/a', { tls: { ca, ...tls }, token: null, ...more })).status
  const good = await ask(service.port, '/v1/images/a', { tls: { ca, ...identityOf(client) }, token: null })
  t.ok(good.bytes.equals(origin.bytes('a', 0, good.bytes.length)))
  t.equal(good.status, 200)
  mkdirSync(join(t.testdirName, 'stranger'))
  const stranger = makeCertificate(join(t.testdirName, 'stranger'), 'DNS:client.example')
  t.equal(await said({}), 401, 'none')
  t.equal(await said(identityOf(stranger)), 401, 'of another authority')
  t.equal(await said({}, { token }), 401, 'a token where there is none')
  await t.rejects(said({ maxVersion: 'TLSv1.2', ...identityOf(client) }), 'TLS 1.2')
  await t.rejects(ask(service.port, '/v1/images/a', {}), 'plain HTTP')
  // Another authority by a reload: connections and tickets of before are worth nothing.
  const apply = await service.prepare({ ...settings, tls: { ...files, ca: stranger.certificate } })
  await apply()
  t.equal(await said(identityOf(client)), 401)
  t.equal(await said(identityOf(stranger)), 200)
  const broken = { ...settings, tls: { ...files, certificate: join(t.testdirName, 'nothing') } }
  await t.rejects(service.prepare(broken), { code: 'invalid-argument' })
  t.equal(await said(identityOf(stranger)), 200, 'as before')
})

t.test('a token over TLS is enough, and is read again', { skip: noCertificates }, async t => {
  const { server, client, authority } = groupIn(t)
  let now = token
  const { service, settings } = await openServing(t, { tls: { ca: null, ...server }, token: async () => now })
  const tls = { ca: readFileSync(authority.certificate) }
  const status = async (said: string) => (await ask(service.port, '/v1/health', { tls, token: said })).status
  t.equal(await status(token), 200)
  now = 'next-token'
  t.equal(await status(token), 401)
  t.equal(await status('next-token'), 200)
  const { requests } = service.counters
  // From now on certificates are asked for.
  await (await service.prepare({ ...settings, tls: { ca: authority.certificate, ...server }, token: null }))()
  const own = { ...tls, ...identityOf(client) }
  t.equal((await ask(service.port, healthPath, { tls: own, token: null })).status, 200)
  t.equal(await status('next-token'), 401)
  t.equal(service.counters.requests, requests + 1, 'counters go on')
})

t.test('a client that opens more connections than it may keeps nobody out', async t => {
  const { service } = await openServing(t)
  const held: Socket[] = []
  t.teardown(() => {
    for (const socket of held) socket.destroy()
  })
  let closed = 0
  const crowd = addressConnectionsMax + 200
  for (let k = 0; k < crowd; k++) {
    const socket = connect(service.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.on('close', () => closed++)
    // Half of a head: it never ends.
    socket.write('GET /v1/images/a HTTP/1.1\r\nHost: x\r\nX-A: ')
    held.push(socket)
  }
  await until(() => closed >= 200, patienceMs, 'connections over the bound')
  t.ok(service.counters.connections <= addressConnectionsMax)
  t.equal((await ask(service.port, '/v1/health')).status, 200)
  t.ok(service.counters.tooMany >= 200)
})

t.test('clients that take nothing hold a bounded part of the memory', async t => {
  const { service, origin } = await openServing(t)
  t.equal((await ask(service.port, '/v1/images/a')).status, 200)
  const before = process.memoryUsage()
  const held = Array.from({ length: 100 }, () => {
    const socket = connect(service.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.pause()
    // Pipelined: the next one waits for the answer before it.
    const head = `GET /v1/images/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`
    socket.write(head.repeat(50))
    return socket
  })
  t.teardown(() => {
    for (const socket of held) socket.destroy()
  })
  await until(() => service.counters.requests >= 100, patienceMs, 'the requests')
  const good = await ask(service.port, '/v1/images/a')
  t.ok(good.bytes.equals(origin.bytes('a', 0, good.bytes.length)), 'another client has its bytes')
  const grown = process.memoryUsage().rss - before.rss
  t.ok(grown < 400 * 2 ** 20, `${grown} bytes more`)
})

t.test('a stranger gets one answer from every route, also behind a request of somebody who may ask', async t => {
  const { service, served } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  await ask(service.port, imagePath(id))
  const hash = '0'.repeat(64)
  const image = imagePath(id)
  const known = [image, `${image}/sums?object=0`, '/v1/images/a', '/v1/images/', '/v1/images/a.parentfs-profile']
  const paths = [...known, `/v1/profile/${hash}`, healthPath, `${image}/promote?part=0`, '/v1/images/none', '/none']
  const answers = new Set<string>()
  for (const path of paths) {
    for (const method of ['GET', 'PUT', 'POST', 'DELETE']) {
      const headers = { range: 'bytes=0-99', 'parentfs-rank': '0' }
      const { status, headers: said, bytes } = await ask(service.port, path, { method, headers, token: 'wrong' })
      const { date: _, ...rest } = said
      answers.add(JSON.stringify([status, rest, bytes.toString()]))
    }
    t.equal((await ask(service.port, path, { method: 'HEAD', token: null })).status, 401, path)
  }
  t.equal(answers.size, 1)
  t.match([...answers][0], /^\[401,/)
  const before = service.counters.sentBytes
  const head = `GET ${image} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n`
  const received = await answersTo(service.port, `${head}Authorization: Bearer ${token}\r\n\r\n${head}\r\n`)
  t.same(received.match(/HTTP\/1\.1 \d{3}/g), ['HTTP/1.1 206', 'HTTP/1.1 401'])
  t.equal(service.counters.sentBytes, before + 10)
})

t.test('garbage is answered with an end, costs little and crashes nothing', async t => {
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  const { service } = await openServing(t)
  const before = process.memoryUsage().rss
  let sent = 0
  const worker = async () => {
    while (sent < fuzzed) {
      // Those before the last one are well formed: the first that is not ends the connection.
      const requests = Array.from({ length: between(random, 1, 16) }, () => wellFormed(random)).concat(
        malformed(random),
      )
      sent += requests.length
      await exchange(service.port, Buffer.concat(requests), random() < 0.2)
    }
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  const good = await ask(service.port, '/v1/images/a', { headers: { range: 'bytes=0-4095' } })
  t.equal(good.status, 206)
  const grown = process.memoryUsage().rss - before
  t.ok(grown < 400 * 2 ** 20, `${sent} requests, ${grown} bytes more`)
})

t.test('garbage in place of a handshake ends the connection alone', { skip: noCertificates }, async t => {
  const random = seeded(seed)
  const { server, authority } = groupIn(t)
  const { service } = await openServing(t, { tls: { ca: authority.certificate, ...server } })
  for (let k = 0; k < 300; k++) {
    const bytes = Buffer.from(Array.from({ length: between(random, 1, 300) }, () => between(random, 0, 256)))
    if (k % 3 === 0) bytes.set([0x16, 0x03, 0x01], 0)
    await exchange(service.port, bytes, true)
  }
  const tls = { ca: readFileSync(authority.certificate) }
  t.equal((await ask(service.port, '/v1/health', { tls })).status, 200)
  const idle = connectTls({ port: service.port, host: '127.0.0.1', ...tls })
  t.teardown(() => idle.destroy())
})

const paths = [
  '/v1/image/',
  '/v1/images/',
  '/v1/images/a',
  '/v1/profile/',
  '/v1/health',
  '/',
  '*',
  'http://x/v1/images/a',
]
const ids = [
  '0'.repeat(32),
  'f'.repeat(32),
  `${'0'.repeat(32)}/sums?object=99999`,
  `${'0'.repeat(64)}`,
  '..%2f',
  '%00',
  '%',
]
const names = [
  'Range',
  'If-Match',
  'If-None-Match',
  'If-Range',
  'Parentfs-Rank',
  'Parentfs-Hop',
  'Parentfs-Key',
  'Expect',
]
const values = [
  'bytes=0-9',
  'bytes=-',
  'bytes=9-3',
  'bytes=0-99999999999999999999',
  '"x"',
  '*',
  '-1',
  '4',
  'a b',
  '\u00ff',
]

const pick = <T>(random: () => number, from: readonly T[]): T => from[between(random, 0, from.length)]!

function noise(random: () => number): string {
  return Buffer.from(Array.from({ length: between(random, 0, 40) }, () => between(random, 33, 127))).toString()
}

/** A request whose parser has nothing to say, and whose words are odd. */
function wellFormed(random: () => number): Buffer {
  const path = pick(random, paths) + (random() < 0.5 ? pick(random, ids) : random() < 0.3 ? noise(random) : '')
  const lines = [
    `${pick(random, ['GET', 'GET', 'HEAD'])} ${path} HTTP/1.1`,
    'Host: x',
    `Authorization: Bearer ${token}`,
  ]
  for (let k = between(random, 0, 5); k > 0; k--)
    lines.push(`${pick(random, names)}: ${random() < 0.6 ? pick(random, values) : noise(random)}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

/** One with a byte that is another, a method or a length that is odd, a head that is too long, or no end. */
function malformed(random: () => number): Buffer {
  const bytes = wellFormed(random)
  const kind = between(random, 0, 5)
  if (kind === 0) bytes[between(random, 0, bytes.length)] = between(random, 0, 256)
  if (kind === 1)
    return Buffer.from(`${pick(random, ['PUT', 'POST', 'CONNECT', 'FOO'])} ${bytes.toString('latin1').slice(4)}`)
  if (kind === 2) return Buffer.from(`GET / HTTP/1.1\r\nX: ${'y'.repeat(between(random, 0, 20_000))}\r\n\r\n`)
  if (kind === 3) return bytes.subarray(0, between(random, 0, bytes.length))
  if (kind === 4) return Buffer.from(`PUT /v1/profile/${'0'.repeat(64)} HTTP/1.1\r\nContent-Length: -1\r\n\r\n`)
  return bytes
}

/** Send, and read until the server ends it. */
function answersTo(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = connect(port, '127.0.0.1')
    socket.on('data', chunk => {
      received += chunk.toString('latin1')
    })
    socket.on('error', reject)
    socket.on('end', () => resolve(received))
    socket.write(text)
  })
}

/** Send, and read until the server ends it; or leave in the middle. */
function exchange(port: number, bytes: Buffer, leaves: boolean): Promise<void> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.resume()
    if (leaves) socket.write(bytes, () => socket.destroy())
    else socket.end(bytes)
  })
}
