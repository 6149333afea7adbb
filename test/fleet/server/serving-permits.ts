/** Requests that native threads answer by themselves, and everything that has them come to TypeScript again. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { permitMsMax } from '../../../src/fleet/server/limits.ts'
import { NativeClient } from '../../../src/fleet/server/serving-connections.ts'
import { imagePath, parseSums } from '../../../src/fleet/wire/wire.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import type { ServingFront, ServingPermit } from '../../../src/native/serving-front.ts'
import { makeCertificate, makeSignedCertificate, noCertificates } from '../../fixtures/certificate.ts'
import { KeptConnection } from '../../fixtures/kept-connection.ts'
import { forever } from '../../fixtures/rooms.ts'
import { ask, openServing, type ServingWorld, token } from '../../fixtures/serving.ts'
import { until } from '../../fixtures/until.ts'

const sizeBytes = 8 * 64 * 4096 + 777
const patienceMs = 60_000
const authorization = `Bearer ${token}`
const [blockBytes, memberId] = [4096, '10.0.0.9:7447']
const asMember = { authorization, 'parentfs-rank': '0', 'parentfs-hop': '0', 'parentfs-member': memberId }

/** All of image `a` is here, whose blocks are brought for a reader of this host, or of another one. */
async function hold({ service, served, rooms, origin }: ServingWorld, forOthers = false): Promise<string> {
  const image = await served.byName('a', { signal: forever })
  if (forOthers) await ask(service.port, imagePath(image.id))
  else await rooms.cache.read(image, 0, sizeBytes, { signal: forever })
  await until(() => served.residence(image).complete, patienceMs, 'the promotions')
  t.ok(origin.reads > 0)
  return image.id
}

/** Ranges of one object in turns, until one is answered natively alone; each is right. */
async function isPermitted(
  t: Test,
  world: ServingWorld,
  kept: KeptConnection,
  id: string,
  headers: Readonly<Record<string, string>> = { authorization },
): Promise<void> {
  const before = world.service.counters.permitted
  let block = 0
  const once = async () => {
    const offset = (block++ % 8) * blockBytes
    const answer = await kept.get(imagePath(id), { ...headers, range: `bytes=${offset}-${offset + blockBytes - 1}` })
    t.equal(answer.status, 206)
    t.ok(answer.bytes.equals(world.origin.bytes('a', offset, blockBytes)), `block ${block}`)
    return world.service.counters.permitted > before
  }
  await until(once, patienceMs, 'a request that native threads answer')
  // An answer is counted once it has gone, and before the next request of its connection is taken.
  t.equal((await kept.get('/v1/none', headers)).status, 404)
}

t.test('a further range of an image is answered natively, with the head that TypeScript would write', async t => {
  const world = await openServing(t)
  const { service, origin } = world
  const id = await hold(world)
  const kept = new KeptConnection(t, service.port)
  await isPermitted(t, world, kept, id, asMember)
  const range = 'bytes=8192-20479'
  // Of another shape: TypeScript answers.
  const { headers: facts } = await kept.get(imagePath(id), { ...asMember, 'x-other': 'a', range })
  await isPermitted(t, world, kept, id, asMember)
  const { requests, permitted, sentBytes } = service.counters
  const sentTo = service.sentTo(memberId)
  const answer = await kept.get(imagePath(id), { ...asMember, 'parentfs-rank': '3', range })
  const { date, ...own } = answer.headers
  t.same(own, Object.fromEntries(Object.entries(facts).filter(([name]) => name !== 'date')))
  t.ok(Math.abs(Date.now() - Date.parse(date!)) < patienceMs)
  const expected = origin.bytes('a', 8192, 12_288)
  t.ok(answer.bytes.equals(expected))
  const { crc32c } = loadAddon()
  const sums = [0, 1, 2].map(block => crc32c(expected.subarray(block * blockBytes, (block + 1) * blockBytes)) >>> 0)
  t.same(parseSums(own['parentfs-sums']!, 3), sums)
  // Counted once they have gone, which the client may see before.
  await until(() => service.counters.permitted > permitted, patienceMs, 'an answer that is counted')
  t.match(service.counters, { requests: requests + 1, permitted: permitted + 1, sentBytes: sentBytes + 12_288 })
  t.equal(service.sentTo(memberId), sentTo + 12_288)
})

t.test('requests by name, in parts of blocks with checksums, and of others stay with TypeScript', async t => {
  const world = await openServing(t)
  const id = await hold(world)
  const kept = new KeptConnection(t, world.service.port)
  const get = async (path: string, headers: Readonly<Record<string, string>>) => (await kept.get(path, headers)).status
  for (let k = 0; k < 5; k++) {
    t.equal(await get('/v1/images/a', { authorization, range: `bytes=${k}-${k + 9}` }), 206)
    t.equal(await get(imagePath(id), { ...asMember, range: `bytes=${k + 1}-${k + 9}` }), 206)
    t.equal(await get(imagePath(id), { authorization, 'if-match': '"other"', range: 'bytes=0-9' }), 412)
  }
  t.equal(world.service.counters.permitted, 0)
  await isPermitted(t, world, kept, id)
  t.equal(await get(imagePath(id), { authorization: 'Bearer wrong', range: 'bytes=0-9' }), 401)
})

t.test('another token, and other settings, count at once and within a second', async t => {
  let now = token
  const world = await openServing(t, { token: async () => now })
  const { service, settings } = world
  const id = await hold(world)
  const kept = new KeptConnection(t, service.port)
  await isPermitted(t, world, kept, id)
  const status = async () =>
    (await kept.get(imagePath(id), { authorization, range: 'bytes=0-9' }).catch(() => null))?.status ?? 401
  now = 'next-token'
  await until(async () => (await status()) === 401, patienceMs, 'the end of the permit')
  now = token
  const other = new KeptConnection(t, service.port)
  await isPermitted(t, world, other, id)
  // Leaving revokes: this very request is decided on again.
  service.leave()
  const before = service.counters.permitted
  t.equal((await other.get(imagePath(id), { authorization, range: 'bytes=0-9' })).status, 206)
  t.equal(service.counters.permitted, before)
  await isPermitted(t, world, other, id)
  await (await service.prepare({ ...settings, token: async () => 'third' }))()
  await until(() => other.hasEnded, patienceMs, 'the end of idle connections')
})

t.test('evicted blocks come from the origin, foreign ones too', async t => {
  for (const forOthers of [false, true]) {
    const world = await openServing(t)
    const { service, origin, rooms } = world
    const id = await hold(world, forOthers)
    const kept = new KeptConnection(t, service.port)
    await isPermitted(t, world, kept, id)
    const [reads, permitted] = [origin.reads, service.counters.permitted]
    await rooms.cache.operations.evict('a', { signal: forever, onProgress: () => {} })
    const answer = await kept.get(imagePath(id), { authorization, range: `bytes=0-${blockBytes - 1}` })
    t.ok(answer.bytes.equals(origin.bytes('a', 0, blockBytes)))
    t.equal(origin.reads, reads + 1)
    t.equal(service.counters.permitted, permitted)
    await isPermitted(t, world, kept, id)
  }
})

t.test('the serving rate is that of all bytes, also by permit', async t => {
  const world = await openServing(t)
  const { service, settings } = world
  const id = await hold(world)
  const kept = new KeptConnection(t, service.port)
  await isPermitted(t, world, kept, id, asMember)
  const bytesPerSecond = 256 * 1024
  await (await service.prepare({ ...settings, bytesPerSecond }))()
  const slow = new KeptConnection(t, service.port)
  const startMs = performance.now()
  const { sentBytes, permitted } = service.counters
  for (let k = 0; k < 96; k++) {
    const offset = (k % 8) * blockBytes
    const { status } = await slow.get(imagePath(id), {
      authorization,
      range: `bytes=${offset}-${offset + blockBytes - 1}`,
    })
    t.equal(status, 206)
    const seconds = (performance.now() - startMs) / 1000
    // A tenth of a second is made up for, and TypeScript is a millisecond and one answer late at most.
    const most = (seconds + 0.102) * bytesPerSecond + 2 * blockBytes
    t.ok(service.counters.sentBytes - sentBytes <= most, `${k}`)
  }
  t.ok(service.counters.permitted > permitted)
})

t.test('a permit does not outlive a certificate', async t => {
  const permits: ServingPermit[] = []
  const front = { permit: (_: number, permit: ServingPermit) => void permits.push(permit) }
  const client = new NativeClient(front as unknown as ServingFront, 1, '10.0.0.1', () => 7)
  const permit = { file: null as never, head: '', isSummed: false, rangeBytesMax: 1, member: null }
  client.begin()
  client.permit(permit)
  client.certificateEndMs = Date.now() - 1
  client.permit(permit)
  client.certificateEndMs = Date.now() + permitMsMax / 2
  client.permit(permit)
  client.end()
  client.permit(permit)
  t.equal(permits.length, 2)
  t.match(permits[0], { ms: permitMsMax, revocations: 7 })
  t.ok(permits[1]!.ms <= permitMsMax / 2)
})

t.test('further ranges are answered natively over TLS', { skip: noCertificates }, async t => {
  const directory = t.testdir({ server: {} })
  mkdirSync(join(directory, 'authority'))
  const authority = makeCertificate(join(directory, 'authority'), 'DNS:group.example')
  const server = makeSignedCertificate(join(directory, 'server'), authority, 'IP:127.0.0.1')
  const world = await openServing(t, { tls: { ca: null, ...server } })
  const id = await hold(world)
  const kept = new KeptConnection(t, world.service.port, { ca: readFileSync(authority.certificate) })
  await isPermitted(t, world, kept, id, asMember)
  await isPermitted(t, world, kept, id)
})
