/** Images of a real image service: the contract, names and ids, stores with ranges and without. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { pathOfKey } from '../../../src/origin/contract/image-name.ts'
import { NoRangesError } from '../../../src/origin/contract/no-ranges-error.ts'
import { GlanceOrigin, glanceOptionsDefault } from '../../../src/origin/glance/glance-origin.ts'
import { openStackSettingsDefault } from '../../../src/origin/openstack/openstack-options.ts'
import { SequentialOrigin } from '../../../src/origin/sequential/sequential-origin.ts'
import { swiftOptionsDefault } from '../../../src/origin/swift/swift-origin.ts'
import { knownStore } from '../../contract/glance/known-stores.ts'
import { originContract } from '../../contract/origin.ts'
import { MirroringOrigin } from '../../fixtures/ceph/mirror.ts'
import { noGlance, startGlance } from '../../fixtures/glance-server.ts'
import { noSwift, startSwift } from '../../fixtures/swift-server.ts'

const options = { signal: new AbortController().signal }
const bytesOf = (seed: number, length: number) => Buffer.alloc(length, createHash('sha512').update(`${seed}`).digest())

const skip = noGlance || noSwift
const starting = skip ? null : startSwift(t).then(async swift => ({ swift, server: await startGlance(t, { swift }) }))

for (const store of ['file', 'swift'] as const) {
  const make = async (directory: string) => {
    const { server } = (await starting)!
    for (const { id } of await server.images()) await server.delete(id)
    const ids = new Map<string, string>()
    const inner = new GlanceOrigin(server.url, glanceOptionsDefault)
    return new MirroringOrigin(store === 'swift' ? new SequentialOrigin(inner) : inner, directory, {
      put: async (name, path) => void ids.set(name, await server.put({ name, bytes: readFileSync(path), store })),
      remove: name => server.delete(ids.get(name) ?? ''),
    })
  }
  originContract(`images of a store (${store})`, make, { skip, digests: 'given' })
}

if (skip === false) {
  knownStore('swift', async () => {
    const { server, swift } = (await starting)!
    process.env.GLANCE_TEST_KEY = swift.key
    const settings = { ...openStackSettingsDefault, username: swift.user, password: { env: 'GLANCE_TEST_KEY' } }
    const store = {
      location: 'swift+config://ref1/glance/',
      url: `swift://glance/?auth=${encodeURIComponent(swift.authUrl)}`,
      options: { swift: { ...swiftOptionsDefault, settings } },
    }
    return { server, imageStores: [store] }
  })
}

t.test('a service that hides locations says so when one is to be added', { skip }, async t => {
  const { server } = (await starting)!
  await server.put({ name: 'hidden', bytes: bytesOf(2, 4_096) })
  const origin = new GlanceOrigin(server.url, glanceOptionsDefault)
  t.teardown(() => origin.close())
  const adding = origin.registrar.add(identify(await origin.lookup('hidden', options)), 'http://h/x', options.signal)
  await t.rejects(adding, { code: 'origin-protocol', message: /show_multiple_locations/ })
})

t.test('an image service with a store of files and one in Swift', { skip }, async t => {
  const { server } = (await starting)!
  const open = () => {
    const origin = new GlanceOrigin(server.url, glanceOptionsDefault)
    t.teardown(() => origin.close())
    return origin
  }
  const origin = open()
  const small = bytesOf(1, 123_456)
  const large = bytesOf(2, 9_000_001)

  await t.test('images are found by name and by id, and read by ranges', async t => {
    const name = 'disk (1)+é "x"\\y: in:z.raw'
    const id = await server.put({ name, bytes: small })
    for (const key of [name, id]) {
      const facts = await origin.lookup(key, options)
      t.match(facts, { sizeBytes: small.length, key, origin: server.url })
      t.ok(facts.modifiedMs > 1.7e12)
      t.notOk('isSequential' in facts)
      const target = Buffer.alloc(1000)
      await origin.read(identify(facts), 777, target, options)
      t.ok(target.equals(small.subarray(777, 1777)))
      const hex = createHash('sha512').update(small).digest('hex')
      t.same(await origin.digest(identify(facts), options), { algorithm: 'sha-512', hex })
    }
    t.ok((await origin.list(options))?.includes(pathOfKey(name) ?? ''))
    for (const operator of ['in:a, b', 'in:"c"']) {
      await server.put({ name: operator, bytes: small })
      t.equal((await origin.lookup(operator, options)).sizeBytes, small.length, 'no operator')
    }
    await t.rejects(origin.lookup('nothing', options), { code: 'not-found' })
    await t.rejects(origin.lookup('00000000-0000-4000-8000-000000000000', options), { code: 'not-found' })
  })

  await t.test('an image in Swift comes from the front alone', async t => {
    await server.put({ name: 'in swift', bytes: large, store: 'swift' })
    const { isSequential, ...facts } = await origin.lookup('in swift', options)
    t.equal(isSequential, true)
    for (const again of [origin, open()]) {
      const refusal = await again.read(identify(facts), 5, Buffer.alloc(10), options).catch((error: Error) => error)
      t.ok(refusal instanceof NoRangesError)
    }
    const hash = createHash('sha512')
    await origin.readWhole(identify(facts), bytes => void hash.update(bytes), options)
    const digest = await origin.digest(identify(facts), options)
    t.equal(hash.digest('hex'), digest?.hex)
  })

  await t.test('a name of several images is refused, and each is there by its id', async t => {
    const ids = [await server.put({ name: 'twice', bytes: small }), await server.put({ name: 'twice', bytes: large })]
    await t.rejects(origin.lookup('twice', options), { code: 'origin-unsupported', message: ids[0]! })
    const names = (await origin.list(options)) ?? []
    t.notOk(names.includes('twice'))
    for (const id of ids) t.ok(names.includes(id))
    t.equal((await origin.lookup(ids[1]!, options)).sizeBytes, large.length)
  })

  await t.test('a name that moves to another image is another image', async t => {
    const before = await server.put({ name: 'a/moved', bytes: small })
    const old = identify(await origin.lookup('a/moved', options))
    await server.delete(before)
    await t.rejects(origin.read(old, 0, Buffer.alloc(10), options), { code: 'image-changed' })
    await t.rejects(origin.digest(old, options), { code: 'image-changed' })
    await server.put({ name: 'a/moved', bytes: small })
    t.not(identify(await origin.lookup('a/moved', options)).id, old.id, 'of the same bytes')
    t.ok((await origin.list(options))?.includes('a/moved'))
  })
})

t.test('what the service says of an image is shown, but its credentials', { skip }, async t => {
  const { server, swift } = (await starting)!
  const open = () => {
    const origin = new GlanceOrigin(server.url, glanceOptionsDefault)
    t.teardown(() => origin.close())
    return origin
  }
  const origin = open()
  const properties = { os_distro: 'debian', visibility: 'shared' }
  await server.put({ name: 'described', bytes: bytesOf(1, 1000), store: 'swift', properties })
  const described = origin.describe(identify(await origin.lookup('described', options)))
  t.match(described, { ...properties, disk_format: 'raw', container_format: 'bare' })
  t.notMatch(JSON.stringify(described), swift.key)
  t.equal(open().describe(identify(await origin.lookup('described', options))), null, 'not asked for by itself')
})
