/** One request to one member, and every way in which a hostile one can answer it. */
import { createHash } from 'node:crypto'
import { getEventListeners, once, setMaxListeners } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { OwnTime } from '../../../src/async/own-time.ts'
import { identify } from '../../../src/base/image.ts'
import { memberConnectMsMax, memberRequestsMax } from '../../../src/fleet/asking/limits.ts'
import type { AskedRange, AskOutcome } from '../../../src/fleet/asking/member-channel.ts'
import { MemberClient, type MemberTrust } from '../../../src/fleet/asking/member-client.ts'
import { imagePath, unitsHeader } from '../../../src/fleet/wire/wire.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { awakeClock } from '../../fixtures/awake-clock.ts'
import { makeCertificate, noCertificates } from '../../fixtures/certificate.ts'
import { type HostileAnswer, hostileAnswers } from '../../fixtures/hostile-answers.ts'
import { MemberServer } from '../../fixtures/member-server.ts'
import { until } from '../../fixtures/until.ts'

const addon = loadAddon()
const blockBytes = 65_536
const bytes = Buffer.alloc(blockBytes * 16 + 100)
for (let k = 0; k < bytes.length; k += 32) createHash('sha256').update(`${k}`).digest().copy(bytes, k)
const image = identify({
  origin: 'https://images.example/',
  key: 'a.raw',
  sizeBytes: bytes.length,
  validator: '"1"',
  modifiedMs: 0,
})
const trust = { ca: null, certificate: null, key: null, token: null }
const never = new AbortController().signal

function clientOf(t: Test, url: string, own: Partial<MemberTrust> = {}) {
  const sumOf = (block: Uint8Array) => addon.crc32c(block)
  const client = new MemberClient({
    url,
    trust: { ...trust, ...own },
    ownId: 'host:1',
    blockBytes,
    time: new OwnTime(),
    sumOf,
  })
  t.teardown(() => client.close())
  return client
}

const serverOf = (t: Test) => MemberServer.open(t, [{ id: image.id, bytes }], blockBytes)

function rangeOf(offset: number, length: number): AskedRange {
  return { image, offset, target: Buffer.alloc(length, 0xee), rank: 0, hop: 1, fill: true }
}

const patient = { signal: never, headMsMax: 20_000 }

t.test('a range comes with its checksums, also the short block at the end', async t => {
  const server = await serverOf(t)
  const client = clientOf(t, server.url)
  for (const [offset, length] of [
    [0, blockBytes * 16],
    [blockBytes, blockBytes],
    [blockBytes * 15, blockBytes + 100],
    [blockBytes * 16, 100],
  ] as const) {
    const range = rangeOf(offset, length)
    t.same(await client.ask(range, patient), { kind: 'bytes' })
    t.ok(bytes.subarray(offset, offset + length).equals(range.target))
  }
  const { headers } = server.requests[0]!
  t.match(headers, {
    'if-match': `"${image.id}"`,
    'parentfs-member': 'host:1',
    'parentfs-rank': '0',
    'parentfs-hop': '1',
    'parentfs-fill': 'yes',
  })
})

/** The outcome of each answer. */
const outcomes: Partial<Record<HostileAnswer, Partial<AskOutcome>>> = {
  'other bytes': { kind: 'wrong' },
  'one other bit': { kind: 'wrong' },
  'other checksums': { kind: 'wrong' },
  'no checksums': { kind: 'wrong' },
  'another version': { kind: 'wrong' },
  'another range': { kind: 'wrong' },
  'another size': { kind: 'wrong' },
  'the whole image': { kind: 'wrong' },
  'a redirect': { kind: 'wrong' },
  'a shorter length': { kind: 'wrong' },
  'a packed body': { kind: 'wrong' },
  'that it has another version': { kind: 'absent' },
  'that the origin has it': { kind: 'absent' },
  'that it has nothing': { kind: 'absent' },
  'that it is busy': { kind: 'busy', replicas: 8 },
  'that it is busy, and nonsense': { kind: 'busy', replicas: 0 },
  'a reset': { kind: 'lost', goodBytes: 0 },
  '10 KiB a second': { kind: 'lost', goodBytes: 0 },
  'a head, and silence': { kind: 'lost', goodBytes: 0 },
}

t.test('a member that lies in bytes, sums, version, range or length is found out', async t => {
  const server = await serverOf(t)
  const client = clientOf(t, server.url)
  for (const [what, outcome] of Object.entries(outcomes)) {
    server.behaviour = hostileAnswers[what as HostileAnswer]
    t.match(await client.ask(rangeOf(0, 4 * blockBytes), patient), outcome, what)
  }
  server.behaviour = answer => answer
  t.match(await client.ask(rangeOf(0, blockBytes), patient), { kind: 'bytes' }, 'it is asked again afterwards')
})

t.test('a body that breaks off keeps its whole blocks that are right', async t => {
  const server = await serverOf(t)
  server.behaviour = ({ status, headers, body }, _request, response) => {
    response.writeHead(status, headers)
    response.write(body.subarray(0, 2 * blockBytes + 7), () => setTimeout(() => response.destroy(), 20))
    return null
  }
  const range = rangeOf(0, 4 * blockBytes)
  t.match(await clientOf(t, server.url).ask(range, patient), { kind: 'lost', goodBytes: 2 * blockBytes })
  t.ok(bytes.subarray(0, 2 * blockBytes).equals(range.target.subarray(0, 2 * blockBytes)))
})

t.test('an answer that is found out is broken off', async t => {
  const server = await serverOf(t)
  let isBrokenOff = false
  server.behaviour = ({ status, headers, body }, _request, response) => {
    response.once('close', () => {
      isBrokenOff = true
    })
    response.writeHead(status, headers)
    response.write(Buffer.alloc(blockBytes, body[0]! ^ 1))
    return null
  }
  t.match(await clientOf(t, server.url).ask(rangeOf(0, 4 * blockBytes), patient), { kind: 'wrong' })
  await until(() => isBrokenOff, 60_000, 'the end of the connection')
})

t.test(
  'units that a member has are taken from an answer that was asked for them, and has one bit for each',
  async t => {
    const server = await serverOf(t)
    const client = clientOf(t, server.url)
    const asked = (asksUnits: boolean) => client.ask({ ...rangeOf(0, blockBytes), asksUnits }, patient)
    const units = Buffer.from([0b11])
    for (const [bytes, asksUnits, outcome] of [
      [units, true, { kind: 'absent', units: Uint8Array.from(units) }],
      [units, false, { kind: 'absent' }],
      [Buffer.alloc(2), true, { kind: 'absent' }],
      [Buffer.alloc(0), true, { kind: 'absent' }],
    ] as const) {
      const headers = { [unitsHeader]: bytes.toString('base64') }
      server.behaviour = () => ({ status: 404, headers, body: Buffer.alloc(0) })
      t.same({ ...(await asked(asksUnits)) }, outcome)
    }
  },
)

t.test('a silent member is given up in time; one that says that it works on it is not', async t => {
  const server = await serverOf(t)
  const client = clientOf(t, server.url)
  server.behaviour = () => null
  t.same(await client.ask(rangeOf(0, blockBytes), { signal: never, headMsMax: 20 }), { kind: 'silent' })
  server.behaviour = async (answer, _request, response) => {
    response.writeProcessing()
    await new Promise(resolve => setTimeout(resolve, 1_000))
    return answer
  }
  // The interim head may be late on a busy machine, and the answer later than that: it was not waited for in vain.
  t.same(await client.ask(rangeOf(0, blockBytes), { signal: never, headMsMax: 500 }), {
    kind: 'bytes',
    wasBrought: true,
  })
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  closed.close()
  t.match(await clientOf(t, `http://127.0.0.1:${port}`).ask(rangeOf(0, blockBytes), patient), { kind: 'lost' })
})

t.test('a member that never ends its handshake is given up before the try to connect is', async t => {
  const mute = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.teardown(() => mute.close())
  const client = clientOf(t, `https://127.0.0.1:${(mute.address() as AddressInfo).port}`)
  const clock = awakeClock()
  t.teardown(() => clock.stop())
  const beganMs = clock.now()
  const asked = Array.from({ length: 8 }, () => client.ask(rangeOf(0, blockBytes), { signal: never, headMsMax: 20 }))
  t.ok((await Promise.all(asked)).every(({ kind }) => kind === 'silent'))
  t.ok(clock.now() - beganMs < memberConnectMsMax)
})

t.test('a token that is not there in time costs no more than a silent member', async t => {
  const server = await serverOf(t)
  const client = clientOf(t, server.url, { token: () => new Promise<never>(() => {}) })
  t.same(await client.ask(rangeOf(0, blockBytes), { signal: never, headMsMax: 20 }), { kind: 'silent' })
})

t.test('a refusal whose body never comes is a refusal at once', async t => {
  const server = await serverOf(t)
  server.behaviour = (_answer, _request, response) => {
    response.writeHead(503, { 'content-length': '10' })
    response.flushHeaders()
    return null
  }
  t.same(await clientOf(t, server.url).ask(rangeOf(0, blockBytes), patient), { kind: 'busy', replicas: 0 })
})

t.test('an asker that leaves ends its request, and nothing is written to its target any more', async t => {
  const server = await serverOf(t)
  const client = clientOf(t, server.url)
  server.behaviour = ({ status, headers, body }, _request, response) => {
    response.writeHead(status, headers)
    response.write(body.subarray(0, blockBytes))
    return null
  }
  const leaving = new AbortController()
  const range = rangeOf(0, 4 * blockBytes)
  const asked = client.ask(range, { signal: leaving.signal, headMsMax: 20_000 })
  await until(() => range.target[0] === bytes[0], 20_000, 'the first bytes')
  leaving.abort()
  t.same(await asked, { kind: 'aborted' })
})

t.test('more requests than the bound are refused here, as the member would refuse them', async t => {
  const server = await serverOf(t)
  const client = clientOf(t, server.url)
  server.behaviour = () => null
  const leaving = new AbortController()
  setMaxListeners(0, leaving.signal)
  const options = { signal: leaving.signal, headMsMax: 60_000 }
  const held = Array.from({ length: memberRequestsMax }, () => client.ask(rangeOf(0, blockBytes), options))
  t.same(await client.ask(rangeOf(0, blockBytes), options), { kind: 'busy', replicas: 0 })
  leaving.abort()
  t.ok((await Promise.all(held)).every(({ kind }) => kind === 'aborted'))
})

t.test('a request that is over leaves nothing with the signal of its asker', async t => {
  const server = await serverOf(t)
  const client = clientOf(t, server.url)
  const { signal } = new AbortController()
  t.same(await client.ask(rangeOf(0, blockBytes), { signal, headMsMax: 20_000 }), { kind: 'bytes' })
  t.same(getEventListeners(signal, 'abort'), [])
})

t.test('a small answer is taken up to its bound', async t => {
  const client = clientOf(t, (await serverOf(t)).url)
  const asked = { method: 'GET', path: `${imagePath(image.id)}/sums?object=0`, body: null } as const
  const { text } = await client.request({ ...asked, bytesMax: 10_000 }, never)
  t.ok(text.length > 64)
  t.match(await client.request({ ...asked, bytesMax: text.length }, never), { status: 200, text })
  await t.rejects(client.request({ ...asked, bytesMax: text.length - 1 }, never), /sent over \d+ bytes/)
})

t.test('heads without end that say that it works on it are the end of a request', async t => {
  const server = await serverOf(t)
  server.behaviour = (_answer, _request, response) => {
    const again = () => {
      if (!response.destroyed) response.writeEarlyHints({ link: `</${'a'.repeat(1_000)}>; rel=preload` }, again)
    }
    response.on('error', () => {})
    again()
    return null
  }
  t.match(await clientOf(t, server.url).ask(rangeOf(0, blockBytes), patient), { kind: 'lost' })
})

t.test('a member that speaks no TLS 1.3 is told nothing', { skip: noCertificates }, async t => {
  const { certificate, key } = makeCertificate(t.testdir(), 'IP:127.0.0.1')
  const pair = { cert: readFileSync(certificate), key: readFileSync(key) }
  for (const [maxVersion, kind] of [
    ['TLSv1.2', 'lost'],
    ['TLSv1.3', 'bytes'],
  ] as const) {
    const place = { address: '127.0.0.1', port: 0, tls: { ...pair, maxVersion } }
    const server = await MemberServer.open(t, [{ id: image.id, bytes }], blockBytes, place)
    const client = clientOf(t, server.url, { ca: pair.cert.toString() })
    t.match(await client.ask(rangeOf(0, blockBytes), patient), { kind }, maxVersion)
    t.equal(server.requests.length, kind === 'bytes' ? 1 : 0)
  }
})

t.test('a client that is closed asks nobody', async t => {
  const server = await serverOf(t)
  const client = clientOf(t, server.url)
  await client.close()
  t.match(await client.ask(rangeOf(0, blockBytes), patient), { kind: 'lost' })
  t.same(server.requests, [])
})
