/** A repository as an origin: names, tags that move, indexes, containerDisks, and registries that answer amiss. */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { NoRangesError } from '../../../src/origin/contract/no-ranges-error.ts'
import type { TakeBytes } from '../../../src/origin/contract/origin.ts'
import type { OciOrigin } from '../../../src/origin/oci/oci-origin.ts'
import { platformOf } from '../../../src/origin/oci/platform.ts'
import { type CompressedPart, type ReadBlob, streamDisk } from '../../../src/origin/oci/unpacked-layer.ts'
import { openOci } from '../../fixtures/open-oci.ts'
import { noRegistry, RegistryServer } from '../../fixtures/registry-server.ts'
import { type Asked, type Scripted, startScripted } from '../../fixtures/scripted-server.ts'
import { missingProgram } from '../../fixtures/server-processes.ts'
import { tarOf } from '../../fixtures/tar.ts'
import { until } from '../../fixtures/until.ts'

const { signal } = new AbortController()
const here = { place: 'here', decoders: null }
const noZstd = missingProgram(['zstd'], 'zstd')
const tar = 'application/vnd.oci.image.layer.v1.tar'
const bytesOf = (text: string) => Buffer.from(text.repeat(1000))

const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

async function textOf(origin: OciOrigin, key: string): Promise<string> {
  const image = identify(await origin.lookup(key, { signal }))
  const target = Buffer.alloc(image.sizeBytes)
  await origin.read(image, 0, target, { signal })
  return target.toString()
}

function opened(t: Test, url: string, ...more: readonly object[]): OciOrigin {
  const origin = openOci(url, false, ...more)
  t.teardown(() => origin.close())
  return origin
}

t.test('names and tags of a real registry', { skip: noRegistry }, async t => {
  const registry = await RegistryServer.start(t)
  const at = (path: string, ...more: readonly object[]) => opened(t, `oci://${registry.host}/${path}`, ...more)

  await t.test('without a tag, each is a name, or a directory of names', async t => {
    await registry.push('many/debian', '12', [{ bytes: bytesOf('twelve'), title: 'debian-12.raw' }])
    await registry.push('many/debian', '11', [{ bytes: bytesOf('eleven') }])
    const both = [
      { bytes: bytesOf('a'), title: 'a.raw' },
      { bytes: bytesOf('b'), title: 'sub/b.raw' },
      { bytes: bytesOf('c'), title: '../c.raw' },
    ]
    await registry.push('many/debian', 'both', both)
    await registry.push('many/debian', 'signature', [{ bytes: bytesOf('{}'), mediaType: 'application/x.simple+json' }])
    await registry.push('many/debian', 'app', [{ bytes: tarOf({ 'bin/sh': 'x' }), mediaType: tar }])
    await registry.push('many/debian', 'packed', [{ bytes: bytesOf('x'), mediaType: `${tar}+zstd` }])
    const origin = at('many/debian')
    t.same([...(await origin.list({ signal }))].sort(), ['11', '12', 'both/a.raw', 'both/sub/b.raw'])
    t.equal(await textOf(origin, '12'), bytesOf('twelve').toString())
    t.equal(await textOf(origin, '11'), bytesOf('eleven').toString())
    t.equal(await textOf(origin, 'both/sub/b.raw'), bytesOf('b').toString())
    for (const key of [
      'both',
      '12/debian-12.raw',
      'debian-12.raw',
      '13',
      'app',
      'signature',
      'both/../c.raw',
      '.x/y',
    ]) {
      await t.rejects(origin.lookup(key, { signal }), { code: 'not-found' }, key)
    }
    await t.rejects(origin.lookup('packed', { signal }), { code: 'origin-unsupported', message: /zstd/ })
    const untitled = at('many/debian:11')
    t.same(await untitled.list({ signal }), ['debian'])
    t.equal(await textOf(untitled, 'debian'), bytesOf('eleven').toString())
    await t.rejects(at('many/nothing').list({ signal }), { code: 'not-found', message: /NAME_UNKNOWN/ })
    await t.rejects(at('many/debian:no').list({ signal }), { code: 'not-found' })
  })

  await t.test('an open image stays when its tag moves, and the next lookup has the new one', async t => {
    const before = await registry.push('moving/a', 'latest', [{ bytes: bytesOf('before') }])
    const origin = at('moving/a:latest')
    const image = identify(await origin.lookup('a', { signal }))
    t.same(await origin.digest(image, { signal }), {
      algorithm: 'sha-256',
      hex: createHash('sha256').update(bytesOf('before')).digest('hex'),
    })
    await registry.push('moving/a', 'latest', [{ bytes: bytesOf('behind') }])
    const target = Buffer.alloc(6000)
    await origin.read(image, 0, target, { signal })
    t.equal(target.toString(), bytesOf('before').toString())
    t.equal(await textOf(origin, 'a'), bytesOf('behind').toString())
    t.not(identify(await origin.lookup('a', { signal })).id, image.id)
    t.equal(await textOf(at(`moving/a@${before.digest}`), 'a'), bytesOf('before').toString())
  })
})

t.test('indexes and containerDisks of a real registry', { skip: noRegistry }, async t => {
  const registry = await RegistryServer.start(t)
  const at = (path: string, ...more: readonly object[]) => opened(t, `oci://${registry.host}/${path}`, ...more)

  await t.test('an index is chosen from by platform and disk type', async t => {
    const entry = async (name: string, architecture: string, disktype: string) => ({
      ...(await registry.push('index/os', name, [{ bytes: bytesOf(name), title: `os.${disktype}` }])),
      platform: { os: 'linux', architecture },
      annotations: { disktype },
    })
    const [amd, arm, cow] = [
      await entry('amd', 'x86_64', 'raw'),
      await entry('arm', 'aarch64', 'raw'),
      await entry('cow', 'aarch64', 'qcow2'),
    ]
    await registry.pushIndex('index/os', 'all', [amd, arm, cow])
    const of = (platform: string, diskType: string | null = null) =>
      at('index/os:all', { platform: platformOf(platform), diskType })
    t.equal(await textOf(of('linux/amd64'), 'os.raw'), bytesOf('amd').toString())
    t.same(await of('linux/arm64').list({ signal }), ['os.raw', 'os.qcow2'])
    t.same(await of('linux/arm64', 'qcow2').list({ signal }), ['os.qcow2'])
    await t.rejects(of('linux/s390x').list({ signal }), { code: 'origin-unsupported', message: /linux\/s390x/ })
    await registry.pushIndex('index/os', 'twice', [arm, { ...arm, annotations: { a: 'b' } }])
    await t.rejects(at('index/os:twice', { platform: platformOf('linux/arm64') }).lookup('os.raw', { signal }), {
      code: 'origin-unsupported',
      message: /diskType/,
    })
  })

  await t.test('the disk in an uncompressed containerDisk is read in its place', async t => {
    const disk = bytesOf('the disk itself ')
    const lower = tarOf({ 'disk/old.raw': 'old', 'etc/passwd': 'x' })
    const upper = tarOf({ 'disk/vm.qcow2': disk, 'disk/other': 'x' })
    const layers = [lower, upper, tarOf({ 'etc/x': 'y' })].map(bytes => ({ bytes, mediaType: tar }))
    await registry.push('disks/vm', 'latest', layers)
    const origin = at('disks/vm:latest')
    t.same(await origin.list({ signal }), ['vm.qcow2'])
    t.equal(await textOf(origin, 'vm.qcow2'), disk.toString())
    const image = identify(await origin.lookup('vm.qcow2', { signal }))
    const target = Buffer.alloc(11)
    // Another process, which knows the image by its validator alone.
    await at('disks/vm:latest').read(image, 4, target, { signal })
    t.equal(target.toString(), 'disk itself')
    t.equal(await origin.digest(image, { signal }), null)
    await t.rejects(origin.read({ ...image, validator: '"x"' }, 0, target, { signal }), { code: 'image-changed' })
    await registry.push('disks/vm', 'broken', [{ bytes: bytesOf('no archive'), mediaType: tar }])
    await t.rejects(at('disks/vm:broken').list({ signal }), { code: 'origin-unsupported', message: /no tar archive/ })
  })
})

/** All bytes of a sequential image. */
async function wholeOf(origin: OciOrigin, key: string): Promise<string> {
  const { isSequential, ...facts } = await origin.lookup(key, { signal })
  t.equal(isSequential, true, key)
  const chunks: Buffer[] = []
  await origin.readWhole(identify(facts), chunk => void chunks.push(Buffer.from(chunk)), { signal })
  return Buffer.concat(chunks).toString()
}

t.test('a compressed containerDisk is read from the front', { skip: noRegistry || noZstd }, async t => {
  const registry = await RegistryServer.start(t)
  const disk = Buffer.from(Array.from({ length: 400_000 }, (_, k) => `${k} `).join(''))
  const bytes = gzipSync(tarOf({ 'disk/': '', 'disk/vm.qcow2': disk }))
  const docker = 'application/vnd.docker.image.rootfs.diff.tar.gzip'
  await registry.push('disks/vm', 'packed', [{ bytes, mediaType: `${tar}+gzip` }])
  const inZstd = execFileSync('zstd', ['-c'], { input: tarOf({ 'disk/vm.qcow2': disk }) })
  await registry.push('disks/vm', 'zstd', [{ bytes: inZstd, mediaType: `${tar}+zstd` }])
  await registry.push('disks/vm', 'docker', [{ bytes, mediaType: docker }])
  await registry.push('disks/vm', 'broken', [{ bytes: bytesOf('x'), mediaType: docker }])
  const far = { 'usr/lib': Buffer.alloc(2 * 1024 * 1024), 'disk/vm.qcow2': disk }
  await registry.push('disks/vm', 'far', [{ bytes: gzipSync(tarOf(far)), mediaType: docker }])
  const origin = opened(t, `oci://${registry.host}/disks/vm`, {}, { takesSequential: true })
  t.same([...(await origin.list({ signal }))].sort(), ['docker', 'packed', 'zstd'])
  t.equal(await wholeOf(origin, 'packed'), disk.toString())
  for (const tag of ['docker', 'zstd']) t.equal(await wholeOf(origin, tag), disk.toString())
  // After a restart: nobody has looked it up.
  const later = opened(t, `oci://${registry.host}/disks/vm`, {}, { takesSequential: true })
  const inZstdImage = identify(await origin.lookup('zstd', { signal }))
  let bytesLater = 0
  await later.readWhole(inZstdImage, chunk => void (bytesLater += chunk.length), { signal })
  t.equal(bytesLater, disk.length)
  const without = opened(t, `oci://${registry.host}/disks/vm:zstd`, { decoders: null }, { takesSequential: true })
  await t.rejects(without.lookup('vm.qcow2', { signal }), { code: 'origin-unsupported', message: /zstd/ })
  await t.rejects(origin.lookup('far', { signal }), { code: 'not-found' }, 'it begins behind the first MiB')
  await t.rejects(origin.lookup('broken', { signal }), { code: 'origin-unsupported', message: /header/ })
  const image = identify(await origin.lookup('packed', { signal }))
  const read = origin.read(image, 0, new Uint8Array(5), { signal })
  t.ok((await read.catch(error => error)) instanceof NoRangesError)
  t.equal(await origin.digest(image, { signal }), null)
  const failure = new Error('the taker has failed')
  const take = () => Promise.reject(failure)
  t.equal(await origin.readWhole(image, take, { signal }).catch(error => error), failure)
  const strict = opened(t, `oci://${registry.host}/disks/vm:packed`)
  await t.rejects(strict.lookup('vm.qcow2', { signal }), { code: 'origin-unsupported', message: /compressed/ })
})

t.test('a layer that is not the one of its digest, or ends early, is not taken as whole', async t => {
  const disk = bytesOf('0123456789')
  const given = (read: ReadBlob, part: CompressedPart) => streamDisk(read, part, disk.length, () => {}, here)
  const good = gzipSync(tarOf({ 'disk/a': disk }))
  const cases: readonly (readonly [Uint8Array, string])[] = [
    [gzipSync(tarOf({ 'disk/a': disk.toReversed() })), 'image-corrupt'],
    [Buffer.concat([good.subarray(0, 40), Buffer.alloc(good.length - 40, 0x55)]), 'image-corrupt'],
    [gzipSync(tarOf({ 'disk/a': disk }).subarray(0, 3000)), 'image-corrupt'],
  ]
  for (const [bytes, code] of cases) {
    const read = async (take: TakeBytes) => void (await take(bytes))
    const part = { digest: digestOf(good), blobBytes: good.length, offset: 512, packing: 'gzip' } as const
    await t.rejects(given(read, part), { code })
  }
  const short = gzipSync(tarOf({ 'disk/a': disk }).subarray(0, 3000))
  const part = { digest: digestOf(short), blobBytes: short.length, offset: 512, packing: 'gzip' } as const
  const read = async (take: TakeBytes) => void (await take(short))
  await t.rejects(given(read, part), { code: 'origin-protocol', message: /ends/ })
  const cut = async (take: TakeBytes) => void (await take(good.subarray(0, good.length - 20)))
  await t.rejects(given(cut, { ...part, digest: digestOf(good) }), { code: 'image-corrupt' })
})

t.test(
  'a registry without ranges sends its blobs from the front, and they are compared with their digests',
  async t => {
    let body = bytesOf('whole')
    const { server } = await scripted(
      t,
      ({ url }) => (url.pathname.includes('/blobs/') ? { body } : null),
      bytesOf('whole'),
    )
    const origin = opened(t, `oci://${server.host}/a:x`, {}, { takesSequential: true })
    t.equal(await wholeOf(origin, 'a'), bytesOf('whole').toString())
    body = bytesOf('other')
    await t.rejects(wholeOf(origin, 'a'), { code: 'image-corrupt' })
  },
)

t.test('a redirect that expires is had again, without an error', { skip: noRegistry }, async t => {
  const registry = await RegistryServer.start(t, { redirectSeconds: 2 })
  await registry.push('a/b', 'x', [{ bytes: bytesOf('redirected') }])
  const origin = opened(t, `oci://${registry.host}/a/b:x`)
  const image = identify(await origin.lookup('b', { signal }))
  const led = () => registry.requests.filter(line => line.startsWith('GET /v2/a/b/blobs/')).length
  const target = Buffer.alloc(10_000)
  const read = async () => {
    await origin.read(image, 0, target, { signal })
    t.equal(target.toString(), bytesOf('redirected').toString())
  }
  await read()
  const before = led()
  let reads = 0
  await until(
    async () => {
      await read()
      reads++
      return led() >= before + 2 && reads > 2 * (led() - before)
    },
    60_000,
    'the redirect has expired twice, and most reads were at its target itself',
  )
})

/** A registry of one artifact that answers as it should, but where `amiss` says otherwise. */
async function scripted(t: Test, amiss: (asked: Asked) => Scripted | null, blob = bytesOf('blob')) {
  const layer = { mediaType: 'application/octet-stream', digest: digestOf(blob), size: blob.length }
  const manifest = JSON.stringify({ schemaVersion: 2, layers: [layer] })
  const digest = digestOf(Buffer.from(manifest))
  const server = await startScripted(t, asked => {
    const other = amiss(asked)
    if (other) return other
    const { pathname } = asked.url
    if (pathname === '/v2/a/tags/list') return { body: '{"name":"a","tags":["x"]}' }
    if (pathname.startsWith('/v2/a/manifests/')) return { headers: { 'docker-content-digest': digest }, body: manifest }
    const [, first = '0', last = '0'] = /^bytes=(\d+)-(\d+)$/.exec(asked.headers.range ?? '') ?? []
    const body = blob.subarray(Number(first), Number(last) + 1)
    return { status: 206, body, headers: { 'content-range': `bytes ${first}-${last}/${blob.length}` } }
  })
  return { server, digest, manifest, origin: opened(t, `oci://${server.host}/a:x`) }
}

const ofManifests = ({ url }: Asked) => url.pathname.startsWith('/v2/a/manifests/')

t.test('a manifest is had once, and the head of its tag each time', async t => {
  const { server, origin, digest } = await scripted(t, () => null)
  for (let k = 0; k < 3; k++) await origin.lookup('a', { signal })
  const asked = server.asked.filter(ofManifests).map(({ method, url }) => `${method} ${url.pathname.split('/').at(-1)}`)
  t.same(asked, ['HEAD x', `GET ${digest}`, 'HEAD x', 'HEAD x'])
  t.match(server.asked[0]?.headers.accept, /image\.index\.v1.*manifest\.list\.v2/)
})

t.test('a registry that tells no digest, or knows no HEAD, is served all the same', async t => {
  for (const amiss of [
    (asked: Asked, manifest: string) => (ofManifests(asked) ? { body: manifest } : null),
    (asked: Asked) => (asked.method === 'HEAD' ? { status: 405 } : null),
  ]) {
    let text = ''
    const { origin, manifest } = await scripted(t, asked => amiss(asked, text))
    text = manifest
    t.equal(await textOf(origin, 'a'), bytesOf('blob').toString())
    t.equal(await textOf(origin, 'a'), bytesOf('blob').toString())
  }
})

t.test('another manifest than that of its digest is never believed', async t => {
  const { origin } = await scripted(t, asked =>
    ofManifests(asked) && asked.method === 'GET' ? { body: '{"schemaVersion":2,"layers":[]}' } : null,
  )
  await t.rejects(origin.lookup('a', { signal }), { code: 'origin-protocol', message: /the registry sent sha256/ })
  const other = `sha256:${'1'.repeat(64)}`
  const { server } = await scripted(t, () => null)
  const pinned = opened(t, `oci://${server.host}/a@${other}`)
  await t.rejects(pinned.lookup('a', { signal }), { code: 'origin-protocol' })
})

t.test("what a registry answers amiss has the code that it should, and the registry's own", async t => {
  for (const [answer, code, message] of [
    [{ status: 404, body: '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}' }, 'not-found', /MANIFEST_UNKNOWN/],
    [{ status: 401 }, 'access-denied', /401/],
    [{ status: 403, body: '{"errors":[{"code":"DENIED"},{"code":"<b>"}]}' }, 'access-denied', /\(DENIED\)/],
    [{ status: 429, headers: { 'retry-after': '3' } }, 'origin-failed', /429/],
    [{ status: 500, body: '<html>' }, 'origin-failed', /500/],
    [{ body: 'x'.repeat(5_000_000) }, 'origin-protocol', /more than/],
    [{ body: 'null' }, 'origin-protocol', /not a manifest/],
    [{ body: '{"schemaVersion":1}' }, 'origin-protocol', /schema version 2/],
    [{ body: '{"schemaVersion":2,"manifests":[]}' }, 'origin-unsupported', /nothing for linux/],
  ] as const) {
    // A HEAD has no body to explain itself: these are of the GET.
    const { origin } = await scripted(t, asked =>
      !ofManifests(asked) ? null : asked.method === 'HEAD' ? { headers: {} } : answer,
    )
    await t.rejects(origin.lookup('a', { signal }), { code, message }, JSON.stringify(answer).slice(0, 60))
  }
})

t.test('a registry without ranges is refused, and a blob that is gone has changed', async t => {
  let status = 200
  const { origin } = await scripted(t, ({ url }) =>
    url.pathname.includes('/blobs/') ? { status, body: 'whole' } : null,
  )
  await t.rejects(origin.lookup('a', { signal }), { code: 'origin-unsupported' })
  const { origin: good } = await scripted(t, ({ url }) =>
    url.pathname.includes('/blobs/') && status !== 200 ? { status } : null,
  )
  const image = identify(await good.lookup('a', { signal }))
  const read = () => good.read(image, 0, new Uint8Array(10), { signal })
  await read()
  for (const [answered, code] of [
    [404, 'image-changed'],
    [416, 'image-changed'],
    [401, 'access-denied'],
    [502, 'origin-failed'],
  ] as const) {
    status = answered
    await t.rejects(read(), { code })
  }
})

t.test('lists of tags that never end, or are none, are refused', async t => {
  const listed = async (answer: (asked: Asked) => Scripted) => {
    const { server } = await scripted(t, asked => (asked.url.pathname === '/v2/a/tags/list' ? answer(asked) : null))
    const origin = opened(t, `oci://${server.host}/a`)
    return await origin.list({ signal })
  }
  const next = (query: string) => ({ link: `</v2/a/tags/list?${query}>; rel="next"` })
  t.same(await listed(() => ({ body: '{"tags":null}' })), [])
  t.same(await listed(() => ({ body: '{"tags":["x","../y",7,"x"]}' })), ['x'])
  t.same(await listed(() => ({ body: '{"tags":["x"]}', headers: next('') })), ['x'], 'a page that follows itself')
  const pages = (url: URL) => ({
    body: `{"tags":["t${url.search.slice(1)}"]}`,
    headers: url.search === '?b' ? {} : next(url.search === '' ? 'a' : 'b'),
  })
  t.same(await listed(({ url }) => pages(url)), ['t', 'ta', 'tb'])
  const elsewhere = { link: '<http://169.254.169.254/x?last=x>; rel="next"' }
  t.same(await listed(({ url }) => ({ body: '{"tags":["x"]}', headers: url.search ? {} : elsewhere })), ['x'])
  let page = 0
  await t.rejects(
    listed(() => ({ body: '{"tags":[]}', headers: next(`last=${page++}`) })),
    { code: 'origin-protocol', message: /pages/ },
  )
  await t.rejects(
    listed(() => ({ body: '{"tags":{}}' })),
    { code: 'origin-protocol' },
  )
  await t.rejects(
    listed(() => ({ body: 'x' })),
    { code: 'origin-protocol' },
  )
  await t.rejects(
    listed(() => ({ body: ' '.repeat(2_000_000) })),
    { code: 'origin-protocol' },
  )
  await t.rejects(
    listed(() => ({ status: 503 })),
    { code: 'origin-failed' },
  )
})

t.test('one tag that fails for a while fails the listing: its name would seem to be gone', async t => {
  const { server } = await scripted(t, asked => (ofManifests(asked) ? { status: 500 } : null))
  await t.rejects(opened(t, `oci://${server.host}/a`).list({ signal }), { code: 'origin-failed' })
})
