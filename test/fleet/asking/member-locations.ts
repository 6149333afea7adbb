/** Members as places of an image: how much each holds, and its blocks compared with the origin's. */
import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { OwnTime } from '../../../src/async/own-time.ts'
import { identify } from '../../../src/base/image.ts'
import { memberStatusOf } from '../../../src/fleet/asking/fleet-status.ts'
import { compareTriesMax, membersAskedMax } from '../../../src/fleet/asking/limits.ts'
import { MemberClient } from '../../../src/fleet/asking/member-client.ts'
import { MemberLocations } from '../../../src/fleet/asking/member-locations.ts'
import { PeerHealth } from '../../../src/fleet/asking/peer-health.ts'
import type { KnownMember } from '../../../src/fleet/group/group-view.ts'
import { imagePath } from '../../../src/fleet/wire/wire.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { compareLocations } from '../../../src/origin/locations/compare-locations.ts'
import { freePort } from '../../fixtures/free-port.ts'
import { MemberServer, type ServedImage } from '../../fixtures/member-server.ts'
import type { MemoryOrigin } from '../../fixtures/memory-origin.ts'

const addon = loadAddon()
const blockBytes = 4096
const bytes = Buffer.alloc(90 * blockBytes + 100)
for (let k = 0; k < bytes.length; k += 32) createHash('sha256').update(`${k}`).digest().copy(bytes, k)
const facts = { origin: 'https://images.example/', key: 'a.raw', sizeBytes: bytes.length, validator: '"1"' }
const image = identify({ ...facts, modifiedMs: 0 })
const { signal } = new AbortController()
const trust = { ca: null, certificate: null, key: null, token: null }

function memberAt(url: string): KnownMember {
  const id = url.replace('http://', '')
  return { id, url, rack: '', weight: 1, blockBytes, state: 'up', since: 0 }
}

/** Members at URLs, of which this host is the first. */
function locationsOf(t: Test, urls: readonly string[]) {
  const own = memberAt('http://127.0.0.1:1')
  const members = urls.map(memberAt)
  const peers = new Map(
    members.map(({ id, url }) => {
      const parts = { url, trust, ownId: null, blockBytes, time: new OwnTime() }
      const channel = new MemberClient({ ...parts, sumOf: (block: Uint8Array) => addon.crc32c(block) })
      t.teardown(() => channel.close())
      return [id, { channel, health: new PeerHealth(() => performance.now()) }]
    }),
  )
  const lies: string[] = []
  const locations = new MemberLocations({
    view: { members: [own, ...members], own },
    blockBytes,
    peerOf: ({ id }) => peers.get(id)!,
    statusOf: member => memberStatusOf(member, peers.get(member.id)!.health, { isOwn: false, sentBytes: 0 }),
    onLie: ({ id }, reason) => {
      lies.push(`${id} ${reason}`)
      peers.get(id)!.health.lied(reason)
    },
    now: () => performance.now(),
  })
  const healthOf = (url: string) => peers.get(memberAt(url).id)!.health
  return { locations, lies, healthOf }
}

const serve = (t: Test, image: Omit<ServedImage, 'id'>, id: string) =>
  MemberServer.open(t, [{ id, ...image }], blockBytes)

/** The origin, as it is read for a comparison. */
const origin: Pick<MemoryOrigin, 'read'> = {
  read: async (_, offset, target) => {
    bytes.copy(target, 0, offset, offset + target.length)
  },
}

const options = { signal, blockBytes, onBytes: () => {} }

t.test('members that hold some of it are listed; one that lied is, and is not asked', async t => {
  const whole = await serve(t, { bytes }, image.id)
  const part = await serve(t, { bytes, held: new Set([3, 90]) }, image.id)
  const none = await serve(t, { bytes, held: new Set() }, image.id)
  const other = await serve(t, { bytes }, 'f'.repeat(32))
  const liar = await serve(t, { bytes }, image.id)
  const dead = `http://127.0.0.1:${await freePort()}`
  const urls = [whole, part, none, other, liar].map(({ url }) => url)
  const { locations, healthOf } = locationsOf(t, [...urls, dead])
  healthOf(liar.url).lied('its block at 0 is not the origin’s')
  healthOf(whole.url).begin()
  healthOf(whole.url).answered(2 ** 20, 10)
  const path = imagePath(image.id)
  t.match(await locations.locationsOf(image, signal), [
    { url: whole.url + path, kind: 'member', state: 'good', isRead: true, heldBytes: bytes.length, reason: '' },
    { url: part.url + path, state: 'good', heldBytes: blockBytes + 100, bytesPerSecond: null },
    { url: liar.url + path, state: 'quarantined', isRead: false, heldBytes: null, reason: /not the origin/ },
    { url: dead + path, state: 'away', isRead: false, heldBytes: null, reason: /ECONNREFUSED|no answer/ },
  ])
  t.match(await locations.locationsOf(image, signal), [
    { latencyMs: Number, bytesPerSecond: (2 ** 20 / 10) * 1000, requests: 1, bytes: 2 ** 20, errors: 0 },
    {},
    {},
    {},
  ])
  t.equal(liar.requests.length, 0)
})

t.test('more members than are asked at once are all asked', async t => {
  const server = await serve(t, { bytes }, image.id)
  const { port } = new URL(server.url)
  // All of 127.0.0.0/8 is this host, and this server answers at one address of it.
  const urls = Array.from({ length: membersAskedMax + 1 }, (_, k) => `http://127.0.0.1:${port}/${k}`)
  const { locations } = locationsOf(t, urls)
  t.equal((await locations.locationsOf(image, signal)).length, membersAskedMax + 1)
})

t.test('held blocks are compared, and those alone; a member that differs is named and has lied', async t => {
  const held = new Set([0, 1, 2, 15, 16, 63, 64, 65, 90])
  const part = await serve(t, { bytes, held }, image.id)
  const wrong = Buffer.from(bytes)
  wrong[65 * blockBytes + 7]! ^= 1
  wrong[90 * blockBytes]! ^= 1
  const liar = await serve(t, { bytes: wrong, held }, image.id)
  const broken = await serve(t, { bytes }, image.id)
  broken.behaviour = answer => ({ ...answer, headers: { ...answer.headers, 'parentfs-sums': '00000000' } })
  const dead = `http://127.0.0.1:${await freePort()}`
  const { locations, lies } = locationsOf(t, [part.url, liar.url, broken.url, dead])
  const places = await locations.placesOf(image, signal)
  const comparedBytes = 8 * blockBytes + 100
  const path = imagePath(image.id)
  t.match(await compareLocations(image, origin, places, options), [
    { url: part.url + path, by: 'bytes', comparedBytes, differingBlocks: 0, problem: null },
    { url: liar.url + path, comparedBytes, differences: [65 * blockBytes, 90 * blockBytes], differingBlocks: 2 },
    { url: broken.url + path, problem: /checksum/ },
    { url: dead + path, problem: /ECONNREFUSED|no answer/, comparedBytes: 0 },
  ])
  t.same(lies, [`${new URL(liar.url).host} 2 of its blocks are others`])
  t.ok(part.requests.every(({ headers }) => headers['parentfs-fill'] !== 'yes'))
  t.ok(part.requests.every(({ headers }) => headers['parentfs-key'] === undefined || headers.range !== undefined))
  t.equal((await locations.placesOf(image, signal)).length, 3, 'the liar is asked no more')
})

t.test('a member that is busy is asked again, and named when it stays so', async t => {
  const server = await serve(t, { bytes }, image.id)
  let refusals = 1
  server.behaviour = answer => (refusals-- > 0 ? { ...answer, status: 503 } : answer)
  const { locations } = locationsOf(t, [server.url])
  const compare = async () => compareLocations(image, origin, await locations.placesOf(image, signal), options)
  t.match(await compare(), [{ problem: null, comparedBytes: bytes.length }])
  refusals = compareTriesMax
  t.match(await compare(), [{ problem: /busy/ }])
})
