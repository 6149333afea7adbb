/** Stores behind an image service, as a configuration says them. */
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { originOptionsOf, originSchema } from '../../../src/daemon/config/origin-settings.ts'
import { imageStoresMax } from '../../../src/origin/glance/limits.ts'

const swift = {
  location: 'swift+config://ref1/glance/',
  origin: {
    url: 'swift://glance/',
    authUrl: 'https://keystone.example/v3',
    username: 'a',
    password: { env: 'SECRET' },
  },
}
const rbd = { location: 'rbd://fsid/images/', origin: { url: 'rbd://images/' } }
const of = (stores: unknown) => originSchema.parse({ url: 'glance://images.example/', stores })

t.test('each store is an origin like any other', async t => {
  const { imageStores } = originOptionsOf(of([swift, rbd]), silentLogger)
  t.match(imageStores, [
    { location: swift.location, url: /^swift:\/\/glance\/\?auth=https/ },
    { location: rbd.location, url: 'rbd://images/' },
  ])
  t.match(imageStores[0]!.options.swift, { settings: { username: 'a', password: { env: 'SECRET' } } })
  t.same(originOptionsOf(of(undefined), silentLogger).imageStores, [])
})

t.test('anything else is refused, with its place and without its secrets', async t => {
  for (const [wrong, message] of [
    [{}, /is not a list/],
    [[{}], /is no location/],
    [['swift'], /is no store/],
    [[{ ...rbd, name: 'x' }], /is no store/],
    [[{ ...rbd, location: 'rbd://fsid/images' }], /ending in a slash/],
    [[{ ...rbd, location: 's3://key:hush@host/bucket/' }], /without credentials/],
    [[{ ...rbd, origin: { url: 'nowhere' } }], /is not a URL/],
    [[{ ...rbd, origin: { url: 'glance://other/' } }], /no store of images/],
    [[{ ...rbd, origin: { url: 's3://id:hush@images/' } }], /has credentials in it/],
    [[swift, { ...swift, origin: { ...swift.origin, password: 'hush' } }], /a secret is not written here/],
    [Array.from({ length: imageStoresMax + 1 }, () => rbd), /more than 16 stores/],
  ] as const) {
    const judged = originSchema.safeParse({ url: 'glance://images.example/', stores: wrong })
    t.notOk(judged.success)
    t.match(judged.error?.issues[0]?.message, message)
    t.equal(judged.error?.issues[0]?.path[0], 'stores')
    t.notMatch(JSON.stringify(judged.error?.issues), 'hush')
  }
  t.ok(of(Array.from({ length: imageStoresMax }, () => rbd)))
})
