/** Changes of a file that was read again. */
import t from 'tap'
import { configure } from '../../../src/daemon/config/configuration.ts'
import { planReload } from '../../../src/daemon/config/plan-reload.ts'
import type { ConfigurationDocument } from '../../../src/daemon/config/settings.ts'
import { allSettings } from '../../../src/daemon/config/settings-list.ts'

const surroundings = { uid: 0, gid: 0, home: '/root' }
const of = (document: ConfigurationDocument) => configure({ document, mountpoint: '/mnt' }, surroundings)
const url = 'http://host/'

t.test('what is live changes, what is not waits, and both are said in words of the file', async t => {
  const now = of({ origin: { url }, cache: { directory: '/c', capacity: '1GiB' } })
  const said = of({
    origin: { url, missTimeout: '1m', bearer: { file: '/token' } },
    cache: { directory: '/d', capacity: '2GiB', blockSize: '128KiB', highWatermark: '93%' },
    log: { level: 'debug', file: '/log' },
  })
  const { next, changed, waiting, kept } = planReload(now, said)
  t.same(changed, [
    { key: 'origin.missTimeout', from: '30s', to: '1m' },
    { key: 'origin.bearer', from: 'nothing', to: '{"file":"/token"}' },
    { key: 'cache.capacity', from: '1GiB', to: '2GiB' },
    { key: 'cache.highWatermark', from: '95%', to: '93%' },
    { key: 'log.level', from: 'info', to: 'debug' },
  ])
  t.same(waiting, [
    { key: 'cache.directory', from: '/c', to: '/d' },
    { key: 'cache.blockSize', from: '64KiB', to: '128KiB' },
    { key: 'log.file', from: 'nothing', to: '/log' },
  ])
  t.same(
    kept.map(path => path.join('.')),
    waiting.map(({ key }) => key),
  )
  t.match(next.cache, { directory: '/c', capacity: 2 * 1024 ** 3, blockSize: 65536, highWatermark: 0.93 })
  t.match(next.log, { level: 'debug', file: null })
  t.match(next.places, [{ directory: null, settings: { missTimeout: 60_000, bearer: { file: '/token' } } }])
  t.match(planReload(next, said), { next, changed: [], waiting }, 'what waits is said again')
  t.same(planReload(now, now), { next: now, changed: [], waiting: [], kept: [], leaving: [] })
})

t.test('origins come and go live; one that is another waits, whole', async t => {
  const cache = { directory: '/c' }
  const now = of({ cache, origins: { a: { url: 'http://a/' }, b: { url: 'http://b/' }, c: { url: 'file:///c' } } })
  const origins = {
    new: { url: 'http://new/' },
    a: { url: 'http://a/', tries: 7 },
    b: { url: 'http://other/', tries: 8 },
  }
  const { next, changed, waiting, leaving } = planReload(now, of({ cache, origins }))
  t.same(leaving, ['c'])
  t.same(changed, [
    { key: 'origins.a.tries', from: '3', to: '7' },
    { key: 'origins.c', from: 'file:///c', to: 'nothing' },
    { key: 'origins.new', from: 'nothing', to: 'http://new/' },
  ])
  t.same(waiting, [{ key: 'origins.b', from: 'http://b/', to: 'http://other/' }])
  t.same(
    next.places.map(({ directory, settings }) => [directory, settings.url, settings.tries]),
    [
      ['a', 'http://a/', 7],
      ['b', 'http://b/', 3],
      ['c', 'file:///c', 3],
      ['new', 'http://new/', 3],
    ],
    'those of before first',
  )
})

t.test('one origin in the root and several in directories are not the same mount', async t => {
  const cache = { directory: '/c' }
  const [one, several] = [of({ cache, origin: { url } }), of({ cache, origins: { a: { url } } })]
  for (const [now, said] of [
    [one, several],
    [several, one],
  ] as const) {
    const { next, changed, waiting } = planReload(now, said)
    t.same([next, changed], [now, []])
    t.same(waiting.map(({ key }) => key).sort(), ['origin', 'origins'])
  }
})

/** Values of settings that take none of their kind's. */
const special: Record<string, unknown> = {
  passthrough: 'always',
  'origin.bearer': { env: 'X' },
  'origin.basic': { username: 'a', password: { env: 'X' } },
  'origin.proxyBasic': { username: 'a', password: { env: 'X' } },
  'origin.headers': { 'X-A': 'b' },
  'origin.onOutage': 'wait',
  'origin.retryPause': '7ms',
  'origin.cephId': 'parents',
  'origin.listingSize': '2MiB',
  'origin.query': { env: 'X' },
  'origin.include': ['*.qcow2'],
  'origin.locations': ['http://other/'],
  'origin.stores': [{ location: 'https://a/', origin: { url: 'https://a/' } }],
  'origin.exclude': ['*.iso'],
  'origin.platform': 'linux/riscv64',
  'origin.diskType': 'raw',
  'origin.tlsPskKey': { env: 'X' },
  'origin.digests': { a: `sha256:${'0'.repeat(64)}` },
  'origin.auth': 'v1',
  'origin.password': { env: 'Y' },
  'origin.applicationCredentialSecret': { env: 'Y' },
  'origin.token': { env: 'Y' },
  'origin.addressing': 'path',
  'origin.sessionToken': { env: 'X' },
  'origin.secretAccessKey': { env: 'Y' },
  'cache.blockSize': '128KiB',
  'cache.readAhead': '2MiB',
  'cache.readAround': 'fast',
  'origin.readAround': 'frugal',
  'origin.views': ['raw'],
  'origin.verify': { verity: 'require' },
  'cache.syncBytes': '2MiB',
  'cache.scrubInterval': '1d',
  ...{ 'cache.mode': 'proxy', 'origin.mode': 'forward' },
  'cache.eviction': 'lru',
  'cache.highWatermark': '91%',
  'origin.hitSet.type': 'explicit',
  'web.listen': '127.0.0.1:9181',
  'web.token': { env: 'Y' },
  'web.hosts': ['images.example'],
  'tracing.otlp': 'https://collector:4318',
  'tracing.headers': { 'x-tenant': 'a' },
  'log.level': 'warn',
  'log.format': 'json',
  ...{ 'attributes.mode': '0400', 'librbd.mode': '0600' },
}

t.test('every setting that calls itself live is taken, and no other', async t => {
  const others: Record<string, unknown> = { size: '3GiB', rate: '1MiB/s', duration: '1500ms', share: '40%', count: 7 }
  const skipped = new Set(['mountpoint', 'origins', 'origin.url', 'transport'])
  // A part of the URL.
  const inUrl = ['cluster', 'namespace', 'endpoint', 'authUrl', 'cloud', 'project', 'storageUrl', 'region']
  for (const name of inUrl) skipped.add(`origin.${name}`)
  const login = { authUrl: 'https://keystone/v3', username: 'a', password: { env: 'X' }, project: 'b' }
  const samples: Record<string, Record<string, unknown>> = {
    rbd: { url: 'rbd://pool/' },
    nbd: { url: 'nbds://host/' },
    oci: { url: 'oci://host/images' },
    swift: { url: 'swift://container/', ...login },
    glance: { url: 'glance://host/', ...login },
    s3: { url: 's3://bucket/', accessKeyId: 'id', secretAccessKey: { env: 'X' } },
  }
  // One of these needs the others.
  const web = { listen: '127.0.0.1:9180', token: { env: 'X' }, certificate: '/cert', key: '/key' }
  const keyless = new Set(['origin.profile', 'origin.anonymous'])
  for (const { key, kind, live, what } of allSettings()) {
    if (skipped.has(key) || key.startsWith('fleet.')) continue
    const [group, name, part] = key.split('.') as [string, string | undefined, string | undefined]
    const proxy = key === 'origin.proxyBasic' ? { proxy: 'http://proxy:3128' } : {}
    const sample = samples[/^(\w+)(?: and \w+)?: /.exec(what)?.[1] ?? '']
    const origin = keyless.has(key) ? { url: 's3://bucket/' } : { url, ...sample, ...proxy }
    const own = special[key] ?? others[kind] ?? (kind === 'yes-no' ? false : '/other')
    const value = part === undefined ? own : { [part]: own }
    const base = group === 'origin' ? origin : group === 'web' ? web : {}
    const change = name === undefined ? value : { ...base, [name]: value }
    const { changed, waiting } = planReload(of({ origin, web }), of({ origin, web, [group]: change }))
    t.same([changed.map(each => each.key), waiting.map(each => each.key)], live ? [[key], []] : [[], [key]], key)
  }
})

t.test('so it is with the settings of the fleet', async t => {
  const others: Record<string, unknown> = { rate: '1MiB/s', duration: '1500ms', share: '40%', 'yes-no': false }
  const special: Record<string, unknown> = {
    'fleet.registry.etcd': ['https://a:2379'],
    'fleet.registry.members': ['https://a:7447'],
    'fleet.registry.password': { env: 'X' },
    'fleet.listen': '127.0.0.1:7',
    'fleet.url': 'https://host:7',
    'fleet.token': { env: 'X' },
    'fleet.prefer': 'origin-relief',
    'fleet.register': 'glance',
  }
  const secret = { env: 'A' }
  const registry = { user: 'a', password: secret }
  const tls = { ca: '/a', certificate: '/a', key: '/a' }
  const fleet = { registry, tls, token: secret }
  for (const { key, kind, live } of allSettings().filter(each => each.key.startsWith('fleet.'))) {
    const value = special[key] ?? others[kind] ?? wordOrPath(key)
    const said = changedAt(fleet, key.split('.').slice(1), value)
    const { changed, waiting } = planReload(of({ origin: { url }, fleet }), of({ origin: { url }, fleet: said }))
    t.same([changed.map(each => each.key), waiting.map(each => each.key)], live ? [[key], []] : [[], [key]], key)
  }
})

function wordOrPath(key: string): string {
  return /ca$|certificate$|key$/.test(key) ? '/b' : 'b'
}

/** The mapping with another value at the end of `path`. */
function changedAt(mapping: Readonly<Record<string, unknown>>, path: readonly string[], value: unknown): object {
  const [key, ...rest] = path as [string, ...string[]]
  const below = (mapping[key] ?? {}) as Record<string, unknown>
  return { ...mapping, [key]: rest.length === 0 ? value : changedAt(below, rest, value) }
}
