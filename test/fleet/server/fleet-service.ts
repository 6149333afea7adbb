/** The serving port as clients see it: images by id and by name, ranges, checksums, listings, profiles. */
import t from 'tap'
import { formatProfileFile } from '../../../src/cache/prefetch/profile-file.ts'
import { ReadsInFlight } from '../../../src/fleet/asking/reads-in-flight.ts'
import type { PromotePart } from '../../../src/fleet/server/promotion-requests.ts'
import { parsePromotionState, promotePath } from '../../../src/fleet/wire/promotion.ts'
import { parseVersion, versionPath } from '../../../src/fleet/wire/version.ts'
import { formatImageKey, hopHeader, hopsOfOpener, imagePath, parseSums } from '../../../src/fleet/wire/wire.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { forever } from '../../fixtures/rooms.ts'
import { ask, openServing, sha256 } from '../../fixtures/serving.ts'
import { until } from '../../fixtures/until.ts'

const sizeBytes = 8 * 64 * 4096 + 777

const aloneInGroup = {
  originReads: new ReadsInFlight(),
  memberReads: new ReadsInFlight(),
  hasRanks: () => true,
  isOwn: () => false,
  ranksBefore: () => false,
}

t.test('an image is served by name and by id, whole and by ranges', async t => {
  const { service, origin, served } = await openServing(t)
  const { port } = service
  t.match(service.counters, { requests: 0, permitted: 0, denied: 0, busy: 0, tooMany: 0, sentBytes: 0 })
  const whole = await ask(port, '/v1/images/a')
  t.equal(whole.status, 200)
  t.match(service.counters, { requests: 1, sentBytes: sizeBytes })
  t.ok(whole.bytes.equals(origin.bytes('a', 0, sizeBytes)))
  const { id } = await served.byName('a', { signal: forever })
  t.match(whole.headers, { etag: `"${id}"`, 'parentfs-image': id, 'accept-ranges': 'bytes' })
  const cases: [string, number, number][] = [
    ['bytes=0-0', 0, 1],
    ['bytes=5-4100', 5, 4096],
    ['bytes=1000000-', 1_000_000, sizeBytes - 1_000_000],
    ['bytes=-777', sizeBytes - 777, 777],
    [`bytes=${sizeBytes - 1}-${sizeBytes + 5}`, sizeBytes - 1, 1],
  ]
  for (const [range, offset, length] of cases) {
    const { status, headers, bytes } = await ask(port, imagePath(id), { headers: { range } })
    t.equal(status, 206, range)
    t.equal(headers['content-range'], `bytes ${offset}-${offset + length - 1}/${sizeBytes}`)
    t.ok(bytes.equals(origin.bytes('a', offset, length)), range)
  }
  for (const range of [`bytes=${sizeBytes}-`, 'bytes=-0', 'bytes=0-0,5-5']) {
    t.match(await ask(port, imagePath(id), { headers: { range } }), {
      status: 416,
      headers: { 'content-range': `bytes */${sizeBytes}` },
    })
  }
  t.match(await ask(port, '/v1/images/empty'), { status: 200, headers: { 'content-length': '0' } })
})

t.test('conditions are kept: a client never gets another version', async t => {
  const { service, served } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  const said = async (headers: Record<string, string>) => (await ask(service.port, imagePath(id), { headers })).status
  t.equal(await said({ 'if-match': `"${id}"`, range: 'bytes=0-9' }), 206)
  t.equal(await said({ 'if-match': '"other"', range: 'bytes=0-9' }), 412)
  t.equal(await said({ 'if-match': `W/"${id}"`, range: 'bytes=0-9' }), 412)
  t.equal(await said({ 'if-range': `"${id}"`, range: 'bytes=0-9' }), 206)
  t.equal(await said({ 'if-range': '"other"', range: 'bytes=0-9' }), 200)
  t.equal(await said({ 'if-none-match': `"${id}"` }), 304)
})

t.test('a head tells the size and what is here, and brings nothing', async t => {
  const { service, origin } = await openServing(t)
  const head = () => ask(service.port, '/v1/images/a', { method: 'HEAD' })
  t.match(await head(), {
    status: 200,
    headers: { 'content-length': `${sizeBytes}`, 'parentfs-resident': '0', 'parentfs-complete': 'no' },
  })
  t.equal(origin.reads, 0)
  await ask(service.port, '/v1/images/a')
  const isComplete = async () => (await head()).headers['parentfs-complete'] === 'yes'
  await until(isComplete, 20_000, 'the promotions')
  t.equal((await head()).headers['parentfs-resident'], `${sizeBytes}`)
})

t.test('missing blocks are brought once, or refused as asked; reads of others start no read-ahead', async t => {
  const { service, origin, served, rooms } = await openServing(t, {}, { readAheadBytesMax: 2 ** 20 })
  const { id } = await served.byName('a', { signal: forever })
  const range = 'bytes=4096-8191'
  t.equal((await ask(service.port, imagePath(id), { headers: { range, 'parentfs-fill': 'no' } })).status, 404)
  t.equal(origin.reads, 0)
  for (let k = 0; k < 3; k++) t.equal((await ask(service.port, imagePath(id), { headers: { range } })).status, 206)
  t.same(
    origin.requests.filter(asked => asked.startsWith('read')),
    ['read a 4096 4096'],
  )
  t.same(rooms.cache.counters.reads, { hits: 0, misses: 0, hitBytes: 0, missBytes: 0 })
})

t.test('a new owner waits for what is being read from the origin, and hears of nothing else', async t => {
  const { service, origin, served, rooms } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  const ranges: [number, number][] = []
  const covers = (_: string, offset: number, length: number) =>
    ranges.some(([from, to]) => from <= offset && offset + length <= to)
  const memberReads = new ReadsInFlight()
  served.group = { ...aloneInGroup, originReads: { covers, rangesOf: () => [] }, memberReads }
  let open = () => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  origin.gate = () => opened
  const headers = { range: 'bytes=0-8191', 'parentfs-rank': '1', 'parentfs-hop': '1' }
  const bringing = ask(service.port, imagePath(id), { headers })
  await until(() => origin.reads > 0, 20_000, 'the read of the origin')
  const question = { headers: { ...headers, 'parentfs-fill': 'no' } }
  t.equal((await ask(service.port, imagePath(id), question)).status, 404, 'it may come from another member')
  ranges.push([0, 8_192])
  const end = memberReads.begin(id, 4_096, 4_096)
  t.equal((await ask(service.port, imagePath(id), question)).status, 404, 'that member may wait for the new owner')
  const last = { headers: { ...headers, 'parentfs-hop': '3' } }
  t.equal((await ask(service.port, imagePath(id), last)).status, 503, 'so may it for one that has asked all others')
  end()
  const waiting = ask(service.port, imagePath(id), question)
  await until(() => service.counters.waiting === 2, 20_000, 'the question')
  open()
  const [brought, waited] = await Promise.all([bringing, waiting])
  t.same([brought.status, waited.status], [206, 206])
  t.ok(waited.bytes.equals(origin.bytes('a', 0, 8_192)))
  t.equal(origin.reads, 1, 'the origin was read once')
  t.equal(rooms.cache.counters.reads.misses, 0)
})

t.test('a member that this host would ask itself gets what is here, and nothing is brought for it', async t => {
  const { service, origin, served } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  served.group = { ...aloneInGroup, ranksBefore: (member, _, unit) => member === 'm1' && unit === 1 }
  const said = async (unit: number, more: Record<string, string>) => {
    const offset = unit * 16 * 4096
    const headers = { range: `bytes=${offset}-${offset + 4095}`, 'parentfs-rank': '0', 'parentfs-hop': '1', ...more }
    return (await ask(service.port, imagePath(id), { headers })).status
  }
  t.equal(await said(1, { 'parentfs-member': 'm1' }), 404, 'two would wait for each other')
  t.equal(origin.reads, 0)
  t.equal(await said(0, { 'parentfs-member': 'm1' }), 206, 'a unit of this host')
  t.equal(await said(1, { 'parentfs-member': 'm1', 'parentfs-hop': '3' }), 206, 'it does not reach the origin')
  t.equal(await said(1, { 'parentfs-member': 'm1' }), 206, 'it is here now')
  t.equal(await said(2, {}), 206, 'an asker without ranks')
})

t.test('a question that has passed three members, or says nonsense of them, leads to no further one', async t => {
  const { service, served } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  const read = served.read.bind(served)
  let hops = -1
  served.read = (image, offset, length, options) => {
    hops = hopsOfOpener(options.opener)
    return read(image, offset, length, options)
  }
  const passed = [undefined, '0', '1', '2', '3', '4', '03', '-1', '1.0', '1, 0', '', 'x', '9'.repeat(400)]
  const heard: number[] = []
  for (const [k, hop] of passed.entries()) {
    const headers = {
      range: `bytes=${k * 4096}-${k * 4096 + 4095}`,
      ...(hop === undefined ? {} : { [hopHeader]: hop }),
    }
    t.equal((await ask(service.port, imagePath(id), { headers })).status, 206)
    heard.push(hops)
  }
  t.same(heard, [0, 0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3])
})

t.test('a member gets checksums of whole blocks, and hears that its bytes are being brought', async t => {
  const { service, origin, served } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  let open = () => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  origin.gate = () => opened
  const headers = { range: 'bytes=0-8191', 'parentfs-rank': '0', 'parentfs-hop': '1' }
  const asked = ask(service.port, imagePath(id), { headers })
  await until(() => service.counters.waiting === 1, 20_000, 'the request')
  setTimeout(open, 60)
  const { status, headers: said, bytes, interim } = await asked
  t.same([status, interim], [206, [102]])
  const sums = parseSums(`${said['parentfs-sums']}`, 2)
  const addon = loadAddon()
  t.same(sums, [addon.crc32c(bytes.subarray(0, 4096)), addon.crc32c(bytes.subarray(4096))])
  const tail = `bytes=${8 * 64 * 4096}-`
  const last = await ask(service.port, imagePath(id), { headers: { ...headers, range: tail } })
  t.same(parseSums(`${last.headers['parentfs-sums']}`, 1), [addon.crc32c(last.bytes)])
  const odd = await ask(service.port, imagePath(id), { headers: { ...headers, range: 'bytes=1-8191' } })
  t.same([odd.status, odd.headers['parentfs-sums']], [206, undefined])
})

t.test('a host that does not know an id finds it by origin and key, or says that its version is another', async t => {
  const { service, served, origin, rooms } = await openServing(t)
  const key = { 'parentfs-key': formatImageKey(origin.url, 'a'), range: 'bytes=0-99' }
  const wrong = '0'.repeat(32)
  t.equal((await ask(service.port, imagePath(wrong), {})).status, 404)
  t.equal((await ask(service.port, imagePath(wrong), { headers: key })).status, 412)
  const { id } = await served.byName('a', { signal: forever })
  t.equal((await ask(service.port, imagePath(id), { headers: key })).status, 206)
  const other = { 'parentfs-key': formatImageKey('http://elsewhere/', 'a') }
  t.equal((await ask(service.port, imagePath(wrong), { headers: other })).status, 404)
  t.equal(rooms.cache.capacity().images, 1)
})

t.test('checksums of an object as it lies here', async t => {
  const { service, served, origin } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  await ask(service.port, imagePath(id))
  const sums = async (object: number) => (await ask(service.port, `${imagePath(id)}/sums?object=${object}`)).bytes
  const whole = async () => JSON.parse((await sums(1)).toString()) as { sha256: string | null; sums: string[] }
  await until(async () => (await whole()).sums.length === 64, 20_000, 'the records')
  const bytes = origin.bytes('a', 64 * 4096, 64 * 4096)
  t.equal((await whole()).sha256, sha256(bytes))
  t.equal((await whole()).sums[0], loadAddon().crc32c(bytes.subarray(0, 4096)).toString(16).padStart(8, '0'))
  t.equal((await ask(service.port, `${imagePath(id)}/sums?object=9`)).status, 404)
})

t.test('listing, health, and paths that are none', async t => {
  const { service } = await openServing(t)
  const listing = await ask(service.port, '/v1/images/')
  t.match(JSON.parse(listing.bytes.toString()), [
    { name: 'a', type: 'file' },
    { name: 'empty', type: 'file' },
  ])
  t.match(JSON.parse((await ask(service.port, '/v1/health')).bytes.toString()), { version: 1, blockBytes: 4096 })
  for (const path of ['/', '/v1/image/', '/v1/image/x', '/v1/images/../a', '/v1/images/b', '/v1/images/%2Fa', '/v1/x'])
    t.equal((await ask(service.port, path)).status, 404, path)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
    t.equal((await ask(service.port, '/v1/images/a', { method })).status, 405, method)
})

t.test('profiles are kept and merged', async t => {
  const { service } = await openServing(t)
  const path = `/v1/profile/${sha256('name')}`
  const file = (...ranges: [number, number][]) => formatProfileFile({ sizeBytes: 10_000, validator: null, ranges })
  t.equal((await ask(service.port, path)).status, 404)
  t.equal((await ask(service.port, path, { method: 'PUT', body: file([0, 100], [500, 100]) })).status, 204)
  t.equal((await ask(service.port, path, { method: 'PUT', body: file([50, 500]) })).status, 204)
  t.equal((await ask(service.port, path)).bytes.toString(), file([50, 500], [0, 50], [550, 50]))
  t.equal((await ask(service.port, path, { method: 'PUT', body: '{}' })).status, 400)
  t.equal((await ask(service.port, path, { method: 'PUT', body: 'x'.repeat(200_000) })).status, 413)
})

t.test('without the token there is nothing, not even names', async t => {
  const { service, served } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  const paths = ['/v1/images/', '/v1/images/a', '/v1/images/b', imagePath(id), '/v1/health', '/nothing']
  const seen = new Set<string>()
  for (const path of paths) {
    for (const token of [null, 'wrong-token', '']) {
      const { status, headers, bytes } = await ask(service.port, path, { token })
      const { date: _, ...rest } = headers
      seen.add(JSON.stringify([status, rest, bytes.toString()]))
    }
  }
  t.equal(seen.size, 1, 'one answer to all')
  t.match([...seen][0], /^\[401,/)
})

t.test('in mode forward, members and beginners are sent to the origin; who knows the version stays', async t => {
  const { service, origin, served, rooms } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  const range = 'bytes=0-4095'
  const said = (path: string, headers: Record<string, string> = {}) => ask(service.port, path, { headers })
  origin.publicUrl = 'http://127.0.0.1:9/images/'
  t.equal((await said('/v1/images/a')).status, 200, 'in mode promote')
  await rooms.cache.operations.setMode({ origin: null, image: null }, 'forward')
  const location = 'http://127.0.0.1:9/images/a'
  t.match(await said('/v1/images/a'), { status: 307, headers: { location } })
  t.match(await ask(service.port, '/v1/images/a', { method: 'HEAD' }), { status: 307, headers: { location } })
  t.match(await said(imagePath(id), { range, 'parentfs-rank': '0' }), { status: 307, headers: { location } })
  t.match(await said('/v1/images/a', { range, 'if-range': '"the origin\'s"' }), { status: 307 })
  const kept: Record<string, string>[] = [{ range }, { range, 'if-range': `"${id}"` }, { 'user-agent': 'parentfs' }]
  for (const headers of kept) t.ok((await said('/v1/images/a', headers)).status < 300, JSON.stringify(headers))
  t.equal((await said(imagePath(id), { range })).status, 206, 'by its id')
  t.match(rooms.cache.counters.forwarding, { redirects: 4 })
  origin.publicUrl = null
  t.equal((await said('/v1/images/a')).status, 200, 'where there is no way back')
})

t.test('a port that is closed ends the promotions that it began', async t => {
  let hasEnded = false
  const promote: PromotePart = async (_image, _part, { signal }) => {
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    hasEnded = true
    return { promotedBytes: 0, complete: false }
  }
  const { service, served } = await openServing(t, {}, {}, promote)
  const { id } = await served.byName('a', { signal: forever })
  t.equal((await ask(service.port, promotePath(id, 'own'), { method: 'POST' })).status, 200)
  await service.close()
  t.ok(hasEnded)
})

t.test('a member promotes its part of an image as long as it is asked; a host in no group does not', async t => {
  const parts: unknown[] = []
  let end = () => {}
  const ending = new Promise<void>(resolve => {
    end = resolve
  })
  const promote: PromotePart = async ({ key }, part, { onProgress }) => {
    parts.push([key, part])
    onProgress({ doneBytes: 5, totalBytes: 10 })
    await ending
    return { promotedBytes: 7, complete: true }
  }
  const { service, served } = await openServing(t, {}, {}, promote)
  const { id } = await served.byName('a', { signal: forever })
  const post = (path: string) => ask(service.port, path, { method: 'POST' })
  const said = async () => parsePromotionState((await post(promotePath(id, 'own'))).bytes.toString())
  t.match(await said(), { state: 'running' })
  t.match(await said(), { state: 'running', doneBytes: 5, totalBytes: 10 })
  end()
  await until(async () => (await said())?.state === 'done', 20_000, 'its end')
  t.match(await said(), { state: 'done', doneBytes: 10, promotedBytes: 7, complete: true })
  t.same(parts, [['a', 'own']], 'one work for all who ask')
  t.equal((await ask(service.port, promotePath(id, 'own'))).status, 405)
  t.equal((await post(`${imagePath(id)}/promote?part=none`)).status, 404)
  t.equal((await post(promotePath('0'.repeat(32), 'own'))).status, 404)
  t.equal((await ask(service.port, promotePath(id, 'own'), { method: 'POST', token: null })).status, 401)
  const alone = await openServing(t)
  const own = await alone.served.byName('a', { signal: forever })
  t.equal((await ask(alone.service.port, promotePath(own.id, 'all'), { method: 'POST' })).status, 404)
})

t.test('a member hears of the version of a name, and of none that only another member told', async t => {
  const { service, origin, served } = await openServing(t)
  const said = async (key: string | null, of = origin.url) => {
    const headers = key === null ? {} : { 'parentfs-key': formatImageKey(of, key) }
    return await ask(service.port, versionPath, { headers })
  }
  const { status, bytes } = await said('a')
  t.equal(status, 200)
  const version = parseVersion(bytes.toString())
  t.match(version, { sizeBytes, validator: 'seed 1', isFresh: true })
  t.match(await served.byName('a', { signal: forever }), { sizeBytes, validator: 'seed 1' })
  t.same([(await said('none')).status, (await said('a', 'https://other/')).status], [404, 404])
  t.equal((await said(null)).status, 400)
  t.equal((await ask(service.port, versionPath, { token: null })).status, 401)
  origin.put('told', 5)
  origin.toldBy = 'm2'
  t.equal((await said('told')).status, 404)
})

t.test('a member that owns a unit since lately hears which units are here, or coming', async t => {
  const { service, served } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  const unitBytes = 16 * 4_096
  const unitOf = (k: number) => `bytes=${k * unitBytes}-${(k + 1) * unitBytes - 1}`
  const bring = await ask(service.port, imagePath(id), { headers: { range: unitOf(3) } })
  t.equal(bring.status, 206)
  const asks = { 'parentfs-rank': '1', 'parentfs-hop': '1', 'parentfs-fill': 'no', 'parentfs-units': 'yes' }
  const told = async (member: string, more: Record<string, string> = {}) => {
    const headers = { range: unitOf(9), 'parentfs-member': member, ...asks, ...more }
    const { status, headers: said } = await ask(service.port, imagePath(id), { headers })
    t.equal(status, 404)
    const text = said['parentfs-units']
    return typeof text === 'string' ? [...Buffer.from(text, 'base64')] : null
  }
  t.equal(await told('m2'), null, 'in no group')
  const rangesOf = () => [{ from: 8 * unitBytes + 5, to: 8 * unitBytes + 6 }]
  const originReads = { covers: () => false, rangesOf }
  const hasRanks = (member: string) => member === 'm2'
  served.group = { ...aloneInGroup, originReads, hasRanks }
  t.same(await told('m2'), [0b0000_1000, 1, 0, 0, 0])
  t.equal(await told('m3'), null, 'its ranks are not known here yet')
  t.equal(await told('m2', { 'parentfs-units': 'no' }), null)
})

t.test('a question of this host itself, which is listed by another name, too, is misdirected', async t => {
  const { service, served } = await openServing(t)
  const { id } = await served.byName('a', { signal: forever })
  const headers = { range: 'bytes=0-4095', 'parentfs-rank': '0', 'parentfs-hop': '1', 'parentfs-member': 'm1' }
  t.equal((await ask(service.port, imagePath(id), { headers })).status, 206, 'in no group')
  served.group = { ...aloneInGroup, isOwn: member => member === 'm1' }
  t.equal((await ask(service.port, imagePath(id), { headers })).status, 421)
  t.equal((await ask(service.port, imagePath(id), { headers: { ...headers, 'parentfs-member': 'm2' } })).status, 206)
})
