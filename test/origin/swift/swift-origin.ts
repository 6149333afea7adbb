/** Containers at a scripted server: answers that real ones do not give on demand. */
import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { listingPagesMax, partsAtOnceMax } from '../../../src/origin/swift/limits.ts'
import { SwiftOrigin, swiftOptionsDefault } from '../../../src/origin/swift/swift-origin.ts'
import { type Asked, type Scripted, type ScriptedServer, startScripted } from '../../fixtures/scripted-server.ts'

const options = { signal: new AbortController().signal }
const md5 = (text: string | Uint8Array) => createHash('md5').update(text).digest('hex')

/** Answers by method and path below the account; of others 404. */
type Script = Readonly<Record<string, Scripted | ((asked: Asked) => Scripted)>>

async function subject(
  t: Test,
  script: Script,
): Promise<{ readonly origin: SwiftOrigin; readonly server: ScriptedServer }> {
  const server = await startScripted(t, asked => {
    const answer = script[`${asked.method} ${decodeURIComponent(asked.url.pathname.replace('/v1/A/', ''))}`]
    return typeof answer === 'function' ? answer(asked) : (answer ?? { status: 404 })
  })
  const storage = encodeURIComponent(`http://${server.host}/v1/A`)
  const origin = new SwiftOrigin(`swift://c/p/?storage=${storage}`, swiftOptionsDefault)
  t.teardown(() => origin.close())
  return { origin, server }
}

/** An object as Swift serves it. */
function plain(text: string): (asked: Asked) => Scripted {
  const etag = md5(text)
  return ({ headers }) => {
    if (headers['if-match'] !== undefined && headers['if-match'] !== `"${etag}"`) return { status: 412 }
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
    if (first === undefined) return { headers: { etag, 'content-length': String(text.length) }, body: text }
    const range = `bytes ${first}-${last}/${text.length}`
    return { status: 206, headers: { etag, 'content-range': range }, body: text.slice(Number(first), Number(last) + 1) }
  }
}

const entry = (name: unknown, more: object = {}) => ({ name, hash: md5('x'), bytes: 1, ...more })
const page = (...entries: unknown[]): Scripted => ({ body: JSON.stringify(entries) })
const slo = (sizeBytes: number): Scripted => ({
  headers: { etag: '"slo"', 'x-static-large-object': 'True', 'content-length': String(sizeBytes) },
})

t.test('a listing goes on until an empty page, and names that no file can have are left out', async t => {
  const pages: Record<string, Scripted> = {
    '': page(entry('p/a'), entry('p/sub/b'), entry('p/dir/'), entry('other')),
    other: page(
      entry('p/marker', { content_type: 'application/directory' }),
      entry(`p/${'x'.repeat(256)}`),
      entry('p/c//d'),
    ),
    'p/c//d': page(),
  }
  const { origin, server } = await subject(t, { 'GET c': ({ url }) => pages[url.searchParams.get('marker') ?? '']! })
  t.same(await origin.list(options), ['a', 'sub/b', 'c/%2Fd'])
  t.same(
    server.asked.map(({ url }) => url.searchParams.get('prefix')),
    ['p/', 'p/', 'p/'],
  )
})

t.test('hostile listings', async t => {
  const bodies = ['{', '{}', '"x"', '[1]', '[{"name":1,"hash":"x","bytes":1}]', '[{"name":"p/a","bytes":1}]']
  for (const body of [...bodies, '[{"name":"p/a","hash":"x","bytes":-1}]', '[{"name":"p/a","hash":"x"}]']) {
    const { origin } = await subject(t, { 'GET c': { body } })
    await t.rejects(origin.list(options), { code: 'origin-protocol' }, body)
  }
  const { origin } = await subject(t, { 'GET c': page(entry('p/a')) })
  await t.rejects(origin.list(options), { code: 'origin-protocol' }, 'the same page for ever')
  let pages = 0
  const endless = await subject(t, { 'GET c': () => page(entry(`q${pages++}`)) })
  await t.rejects(endless.origin.list(options), { code: 'origin-protocol' }, 'names of others for ever')
  t.ok(pages <= listingPagesMax + 2, `${pages}`)
  for (const [status, code] of [
    [404, 'not-found'],
    [500, 'origin-failed'],
    [498, 'origin-failed'],
    [301, 'origin-protocol'],
  ] as const) {
    const { origin } = await subject(t, { 'GET c': { status } })
    await t.rejects(origin.list(options), { code })
  }
})

t.test('a container that may not be listed has images all the same; a refused login is an error', async t => {
  const listOf = async (token: boolean, status: number) => {
    const server = await startScripted(t, () => ({ status }))
    const settings = { ...swiftOptionsDefault.settings, token: token ? { env: 'SWIFT_ORIGIN_TOKEN' } : null }
    const url = `swift://c/?storage=${encodeURIComponent(`http://${server.host}/v1/A`)}`
    const origin = new SwiftOrigin(url, { ...swiftOptionsDefault, settings })
    t.teardown(() => origin.close())
    return await origin.list(options)
  }
  process.env.SWIFT_ORIGIN_TOKEN = 'a-token'
  t.equal(await listOf(true, 403), null)
  t.equal(await listOf(false, 403), null)
  t.equal(await listOf(false, 401), null)
  await t.rejects(listOf(true, 401), { code: 'access-denied', message: /^(?!.*a-token)/ })
})

t.test('objects that cannot be images', async t => {
  const heads: [Record<string, string>, string][] = [
    [{ 'content-length': '3' }, 'origin-unsupported'],
    [{ 'content-length': '3', etag: '"abc"' }, 'origin-unsupported'],
    [{ 'content-length': '3', etag: md5('x'), 'content-encoding': 'gzip' }, 'origin-unsupported'],
    [{ 'content-length': '3', etag: '"dlo"', 'x-object-manifest': 'nothing' }, 'origin-unsupported'],
    [{ 'content-length': '3', etag: '"dlo"', 'x-object-manifest': 'c%/x' }, 'origin-unsupported'],
    [{ 'content-length': '3', etag: '"dlo"', 'x-object-manifest': 'segments/gone' }, 'not-found'],
  ]
  for (const [headers, code] of heads) {
    const { origin } = await subject(t, { 'HEAD c/p/a': { headers } })
    await t.rejects(origin.lookup('a', options), { code }, JSON.stringify(headers))
  }
})

t.test('manifests that cannot be read', async t => {
  const segment = { name: '/s/a', hash: md5('abc'), bytes: 3 }
  const manifests: [unknown, string][] = [
    ['{', 'origin-protocol'],
    ['', 'origin-unsupported'],
    [{}, 'origin-protocol'],
    [[null], 'origin-protocol'],
    [[{ ...segment, name: 'a' }], 'origin-protocol'],
    [[{ ...segment, hash: undefined }], 'origin-protocol'],
    [[{ ...segment, bytes: 1.5 }], 'origin-protocol'],
    [[{ ...segment, range: '1' }], 'origin-unsupported'],
    [[{ ...segment, range: '2-3' }], 'origin-unsupported'],
    [[{ data: 'YWJj' }], 'origin-unsupported'],
    [[segment, segment], 'origin-failed'],
    [[{ ...segment, name: '/c/p/a', sub_slo: true }], 'origin-unsupported'],
    [[{ ...segment, name: '/c/p/a', sub_slo: true, range: '0-2' }], 'origin-unsupported'],
  ]
  for (const [manifest, code] of manifests) {
    const body = typeof manifest === 'string' ? manifest : JSON.stringify(manifest)
    const { origin } = await subject(t, { 'HEAD c/p/a': slo(3), 'GET c/p/a': { body } })
    await t.rejects(origin.lookup('a', options), { code }, body)
  }
  const dots = [{ ...segment, name: '/s/../a' }]
  const { origin } = await subject(t, { 'HEAD c/p/a': slo(3), 'GET c/p/a': { body: JSON.stringify(dots) } })
  const image = identify(await origin.lookup('a', options))
  await t.rejects(origin.read(image, 0, new Uint8Array(3), options), { code: 'origin-unsupported' })
})

t.test('one part that fails ends the reads of the others', async t => {
  const body = JSON.stringify(['a', 'b', 'c'].map(name => ({ name: `/s/${name}`, hash: md5('abc'), bytes: 3 })))
  const { origin } = await subject(t, {
    'HEAD c/p/a': slo(9),
    'GET c/p/a': { body },
    'GET s/a': plain('abc'),
    'GET s/b': plain('ABC'),
    'GET s/c': { status: 500 },
  })
  const image = identify(await origin.lookup('a', options))
  const target = new Uint8Array(9)
  const error = await origin.read(image, 0, target, options).catch(error => error)
  t.match(error.code, /^(image-changed|origin-failed)$/)
  target.fill(7)
  await origin.read(image, 0, target.subarray(0, 3), options)
  t.same([...target.subarray(3)], [7, 7, 7, 7, 7, 7])
  await t.rejects(origin.read(image, 2, target, { signal: AbortSignal.abort() }), { code: 'aborted' })
})

t.test('a read of many small segments asks for some of them at a time', async t => {
  const names = Array.from({ length: 3 * partsAtOnceMax + 1 }, (_, k) => `s/${k}`)
  const manifest = names.map(name => ({ name: `/${name}`, hash: md5(name), bytes: name.length }))
  const whole = names.join('')
  let [now, most] = [0, 0]
  const server = await startScripted(t, async asked => {
    const name = asked.url.pathname.replace('/v1/A/', '')
    if (asked.method === 'HEAD') return slo(whole.length)
    if (name === 'c/a') return { body: JSON.stringify(manifest) }
    most = Math.max(most, ++now)
    await new Promise(resolve => setTimeout(resolve, 5))
    now--
    return plain(name)(asked)
  })
  const storage = encodeURIComponent(`http://${server.host}/v1/A`)
  const origin = new SwiftOrigin(`swift://c/?storage=${storage}`, swiftOptionsDefault)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a', options))
  const target = Buffer.alloc(whole.length)
  await origin.read(image, 0, target, options)
  t.equal(target.toString(), whole)
  t.ok(most > 1 && most <= partsAtOnceMax, `${most} at once`)
})

t.test('lists of segments that are not kept are had again', async t => {
  const body = JSON.stringify([{ name: '/s/a', hash: md5('abc'), bytes: 3 }])
  const script = { 'HEAD c/p/a': slo(3), 'GET c/p/a': { body }, 'GET s/a': plain('abc') }
  const first = await subject(t, script)
  const image = identify(await first.origin.lookup('a', options))
  const asked = () => first.server.asked.map(({ method, url }) => `${method} ${url.pathname}`)
  await first.origin.read(image, 0, new Uint8Array(3), options)
  t.same(asked(), ['HEAD /v1/A/c/p/a', 'GET /v1/A/c/p/a', 'GET /v1/A/s/a'])
  const another = new SwiftOrigin(first.origin.url, swiftOptionsDefault)
  t.teardown(() => another.close())
  const targets = Array.from({ length: 4 }, () => Buffer.alloc(3))
  await Promise.all(targets.map(target => another.read(image, 0, target, options)))
  for (const target of targets) t.equal(target.toString(), 'abc')
  t.equal(asked().length, 3 + 2 + 4, 'once for all reads that wait')
})
