/** Locations that an image service tells of: the rules by which they are read, and their life. */
import { createServer } from 'node:http'
import type { AddressInfo, LookupFunction } from 'node:net'
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { HttpOrigin } from '../../../src/origin/http/http-origin.ts'
import { toldHostsMax, toldPlacesMax, toldRefreshMs } from '../../../src/origin/locations/limits.ts'
import { LocatedOrigin } from '../../../src/origin/locations/located-origin.ts'
import { ToldLocations, type ToldUrl } from '../../../src/origin/locations/vetted-locations.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever as signal } from '../../fixtures/rooms.ts'
import { until } from '../../fixtures/until.ts'

const sizeBytes = 3 * 2 ** 20 + 11
const image = identify({ origin: 'glance://g/', key: 'a', sizeBytes, validator: 'v', modifiedMs: 0 })

/** Names of the test: `local` is this machine. */
const lookup = ((name: string, options: { all?: boolean }, callback: (...found: unknown[]) => void) => {
  const address = name === 'local' ? '127.0.0.1' : '192.0.2.7'
  if (options.all) callback(null, [{ address, family: 4 }])
  else callback(null, address, 4)
}) as unknown as LookupFunction

function telling(t: Test, service: string, urls: () => readonly (string | ToldUrl)[]) {
  const opened: { readonly base: string; readonly origin: MemoryOrigin; isClosed: boolean }[] = []
  const told = new ToldLocations({
    teller: {
      tell: async () => ({
        service: new URL(service),
        urls: urls().map(url => (typeof url === 'string' ? { url, isOrigins: false } : url)),
      }),
    },
    lookup,
    open: base => {
      const origin = new MemoryOrigin(base)
      const entry = { base, origin, isClosed: false }
      origin.close = async () => {
        entry.isClosed = true
      }
      opened.push(entry)
      return origin
    },
    refusal: ({ hostname }) => (hostname === 'me.example' ? 'this host itself' : null),
    now: () => performance.now(),
  })
  t.teardown(() => told.close())
  return { told, opened }
}

t.test('a told URL is read by the rules of a redirect, and without credentials that it does not have', async t => {
  const cases: Record<string, RegExp | null> = {
    'https://h.example/v1/image/abc': null,
    'https://user:secret@h.example/x%20y.raw': null,
    'http://h.example/x': /less protection/,
    'https://me.example/x': /this host itself/,
    'https://127.0.0.1/x': /this machine/,
    'https://[::1]:8/x': /this machine/,
    'https://169.254.169.254/latest/user-data': /this machine/,
    'https://h.example/x?signature=1': /query/,
    'https://h.example/directory/': /none of a file/,
    'https://h.example/%2e%2e': /none of a file/,
    'https://h.example/%ff': /none of a file/,
    'swift+config://ref1/glance/abc': /swift\+config: a store .* no credentials/,
    'file:///var/lib/glance/images/abc': /file: a store/,
    'no url': /no URL/,
  }
  const { told, opened } = telling(t, 'https://g.example:9292/', () => Object.keys(cases))
  const places = await told.placesOf(image, signal)
  for (const [at, reason] of Object.values(cases).entries()) {
    const place = places[at]!
    if (reason === null) t.ok(place.at, place.url)
    else t.match(place, { at: null, reason }, place.url)
  }
  t.same(
    places.flatMap(({ at }) => at?.key ?? []),
    ['abc', 'x y.raw'],
  )
  t.notMatch(JSON.stringify(places.map(({ url, reason }) => [url, reason])), /secret/)
  t.same(
    opened.map(({ base }) => base),
    ['https://h.example/v1/image/', 'https://user:secret@h.example/'],
  )
})

t.test('a service of this machine may tell of others here, and over http of http', async t => {
  const { told } = telling(t, 'http://local:9292/', () => ['http://127.0.0.1:7/x', 'http://h.example/x'])
  t.ok((await told.placesOf(image, signal)).every(({ at }) => at !== null))
})

t.test('a name that means this machine is refused when it is connected to', async t => {
  const server = createServer((_, response) => response.end('x')).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const told = new ToldLocations({
    teller: {
      tell: async () => ({
        service: new URL('http://g.example/'),
        urls: [{ url: `http://local:${port}/a`, isOrigins: false }],
      }),
    },
    lookup,
    open: (base, lookup) => new HttpOrigin(base, { lookup }),
    refusal: () => null,
    now: () => performance.now(),
  })
  t.teardown(() => told.close())
  const [place] = await told.placesOf(image, signal)
  await t.rejects(place!.at!.location.origin.lookup('a', { signal }), { message: /local.*not followed/ })
})

t.test('hosts over the bound are closed, the ones used least lately; urls over the bound are left out', async t => {
  let urls: string[] = []
  const { told, opened } = telling(t, 'https://g.example/', () => urls)
  urls = Array.from({ length: toldPlacesMax + 1 }, (_, k) => `https://h.example/${k}`)
  t.equal((await told.placesOf(image, signal)).length, toldPlacesMax)
  for (let k = 0; k < toldHostsMax; k++) {
    urls = [`https://h${k}.example/x`]
    await told.placesOf(image, signal)
  }
  t.same(
    opened.filter(({ isClosed }) => isClosed).map(({ base }) => base),
    ['https://h.example/'],
  )
  await told.close()
  t.ok(opened.every(({ isClosed }) => isClosed))
})

t.test(
  'a told location is compared, read and quarantined like another one, and goes when it is told no more',
  async t => {
    let urls: (string | ToldUrl)[] = [
      'https://good.example/x',
      'https://wrong.example/x',
      'rbd://f/p/i/s',
      { url: 'swift+config://r/g/1', isOrigins: true },
    ]
    const { told, opened } = telling(t, 'https://g.example/', () => urls)
    const clock = { nowMs: 0 }
    const primary = new MemoryOrigin('glance://g/')
    primary.put('a', sizeBytes)
    primary.gate = async () => {
      clock.nowMs += 100
    }
    const origin = new LocatedOrigin(primary, [], { logger: silentLogger, now: () => clock.nowMs, told })
    t.teardown(() => origin.close())
    const own = identify(await primary.lookup('a'))
    const states = async () =>
      (await origin.locationsOf(own)).map(({ kind, state, isRead }) => `${kind} ${state}${isRead ? '*' : ''}`)
    await origin.locationsOf(own)
    for (const { base, origin } of opened) origin.put('x', sizeBytes, base.includes('good') ? 1 : 2)
    clock.nowMs += toldRefreshMs + 1
    const settled = ['origin origin', 'told good*', 'told quarantined', 'told unusable', 'told origin']
    await until(
      async () => {
        clock.nowMs += 20_000
        return JSON.stringify(await states()) === JSON.stringify(settled)
      },
      20_000,
      'the comparison',
    )
    const target = Buffer.alloc(4096)
    const before = opened[0]!.origin.reads
    await origin.read(own, 8192, target, { signal })
    t.ok(target.equals(primary.bytes('a', 8192, 4096)))
    t.ok(opened[0]!.origin.reads > before)
    t.match(await origin.compareAll(own, { signal, blockBytes: 65_536, onBytes: () => {} }), [
      { url: 'https://good.example/x', problem: null, differingBlocks: 0 },
      { url: 'https://wrong.example/x', differingBlocks: Number },
    ])
    opened[0]!.origin.failure = new CacheError('origin-unreachable', 'gone')
    await origin.read(own, 0, target, { signal })
    t.ok(target.equals(primary.bytes('a', 0, 4096)), 'failed over')
    urls = []
    clock.nowMs += toldRefreshMs + 1
    t.same(await states(), ['origin origin*'])
  },
)
