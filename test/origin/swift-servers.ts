/**
 * Origins in OpenStack Swift, against a real one with tokens of its own and of Keystone, which all of this shares.
 */
import t from 'tap'
import { identify } from '../../src/base/image.ts'
import { glanceOptionsDefault } from '../../src/origin/glance/glance-origin.ts'
import { openOrigin } from '../../src/origin/open-origin.ts'
import { type OpenStackSettings, openStackSettingsDefault } from '../../src/origin/openstack/openstack-options.ts'
import { swiftOptionsDefault } from '../../src/origin/swift/swift-origin.ts'
import { glanceExamples } from '../contract/glance/examples.ts'
import { swiftLargeObjects } from '../contract/swift/large-objects.ts'
import { swiftMounted } from '../contract/swift/mounted.ts'
import { swiftNativeReads } from '../contract/swift/native-reads.ts'
import { type SwiftSubject, swiftContract } from '../contract/swift/swift-contract.ts'
import { noHoles } from '../fixtures/extents.ts'
import { freePort } from '../fixtures/free-port.ts'
import { noGlance, startGlance } from '../fixtures/glance-server.ts'
import { noKeystone, startKeystone } from '../fixtures/keystone-server.ts'
import { SwiftObjects, swiftAccess } from '../fixtures/swift-objects.ts'
import { noSwift, startSwift } from '../fixtures/swift-server.ts'

const options = { signal: new AbortController().signal }

if (noSwift !== false || noKeystone !== false) {
  t.test('origins in OpenStack Swift', { skip: noSwift || noKeystone }, async () => {})
} else {
  const [port, keystonePort] = [await freePort(), await freePort()]
  const imagePort = await freePort()
  const catalog = {
    'object-store': `http://127.0.0.1:${port}/v1/AUTH_%(project_id)s`,
    image: `http://127.0.0.1:${imagePort}`,
  }
  const [keystone, swift] = await Promise.all([
    startKeystone(t, catalog, keystonePort),
    startSwift(t, { port, keystonePort }),
  ])
  process.env.SWIFT_TEST_KEY = swift.key
  process.env.SWIFT_TEST_PASSWORD = keystone.user.password
  process.env.SWIFT_TEST_CREDENTIAL = keystone.applicationCredential.secret
  const opener = (authUrl: string, settings: Partial<OpenStackSettings>) => (url: string) =>
    openOrigin(`${url}?auth=${encodeURIComponent(authUrl)}`, {
      addon: noHoles,
      options: { swift: { ...swiftOptionsDefault, settings: { ...openStackSettingsDefault, ...settings } } },
    })

  const own: SwiftSubject = {
    objects: new SwiftObjects(await swiftAccess(swift.authUrl, swift.user, swift.key)),
    open: opener(swift.authUrl, { username: swift.user, password: { env: 'SWIFT_TEST_KEY' } }),
  }
  const { username, project } = keystone.user
  const openByPassword = opener(keystone.authUrl, { username, project, password: { env: 'SWIFT_TEST_PASSWORD' } })
  const token = await keystone.token()
  const byKeystone: SwiftSubject = {
    objects: new SwiftObjects({ token, storageUrl: `http://127.0.0.1:${port}/v1/AUTH_${keystone.projectId}` }),
    open: openByPassword,
  }
  swiftContract('Swift with tokens of its own', () => own, ['plain'])
  swiftContract('Swift with Keystone', () => byKeystone)
  swiftLargeObjects('Swift', () => own, true)
  swiftNativeReads(swift, own.objects)
  swiftMounted(keystone, byKeystone.objects)

  t.test('an application credential, and secrets that are wrong', async t => {
    await byKeystone.objects.create('credentials')
    await byKeystone.objects.put('credentials', 'a.img', Buffer.from('contents'))
    const credential = { env: 'SWIFT_TEST_CREDENTIAL' }
    const origin = opener(keystone.authUrl.replace(/\/v3$/, ''), {
      applicationCredentialId: keystone.applicationCredential.id,
      applicationCredentialSecret: credential,
      region: keystone.region,
    })('swift://credentials/')
    t.teardown(() => origin.close())
    t.same(await origin.list(options), ['a.img'])
    const wrong = [
      opener(keystone.authUrl, { username, project, password: credential }),
      opener(keystone.authUrl, { username, project: 'service', password: { env: 'SWIFT_TEST_PASSWORD' } }),
      opener(keystone.authUrl, { username, project, password: { env: 'SWIFT_TEST_PASSWORD' }, region: 'Elsewhere' }),
      opener(swift.authUrl, { username: swift.user, password: credential }),
    ]
    for (const open of wrong) {
      const origin = open('swift://credentials/')
      t.teardown(() => origin.close())
      const error = await origin.lookup('a.img', options).then(
        () => new Error('it was let in'),
        (error: Error) => error,
      )
      t.match(error, { code: 'access-denied' })
      for (const secret of [swift.key, keystone.user.password, keystone.applicationCredential.secret]) {
        t.notMatch(`${error.message} ${error.cause}`, secret)
      }
    }
  })

  t.test('a container that is not there, and objects that none may list', async t => {
    const origin = own.open('swift://nowhere/')
    t.teardown(() => origin.close())
    await t.rejects(origin.list(options), { code: 'not-found' })
    await t.rejects(origin.lookup('a.img', options), { code: 'not-found' })
    await own.objects.create('public', { 'x-container-read': '.r:*' })
    await own.objects.put('public', 'a.img', Buffer.from('contents'))
    const url = `swift://public/?storage=${encodeURIComponent(swift.storageUrl)}`
    const stranger = openOrigin(url, { addon: noHoles })
    t.teardown(() => stranger.close())
    t.equal(await stranger.list(options), null)
    t.equal((await stranger.lookup('a.img', options)).sizeBytes, 8)
  })

  t.test('an image service that the catalog names, with the login of its user', { skip: noGlance }, async t => {
    const service = await startGlance(t, { swift, keystone: { port: imagePort, keystonePort } })
    const bytes = Buffer.from('contents of an image')
    await service.put({ name: 'mine', bytes, token: await keystone.token() })
    const open = (login: Partial<OpenStackSettings>) => {
      const settings = { ...openStackSettingsDefault, authUrl: keystone.authUrl, ...login }
      const origin = openOrigin('glance:///', {
        addon: noHoles,
        options: { glance: { ...glanceOptionsDefault, settings } },
      })
      t.teardown(() => origin.close())
      return origin
    }
    const password = { env: 'SWIFT_TEST_PASSWORD' }
    const origin = open({ username, project, password })
    t.same(await origin.list(options), ['mine'])
    const image = identify(await origin.lookup('mine', options))
    const target = Buffer.alloc(5)
    await origin.read(image, 12, target, options)
    t.equal(target.toString(), 'an im')
    t.match(origin.describe?.(image), { visibility: 'shared', disk_format: 'raw' })
    const wrong = open({ username, project, password: { env: 'SWIFT_TEST_CREDENTIAL' } })
    const error = await wrong.list(options).catch((error: Error) => error)
    t.match(error, { code: 'access-denied' })
    t.notMatch(String(error), keystone.applicationCredential.secret)
    await glanceExamples(t, { keystone, swift, glance: service })
  })

  // The last one: the token of our own tools is gone with it.
  t.test('a token that the server has forgotten is had again', async t => {
    await own.objects.create('forgotten')
    await own.objects.put('forgotten', 'a.img', Buffer.from('contents'))
    const origin = own.open('swift://forgotten/')
    t.teardown(() => origin.close())
    const image = identify(await origin.lookup('a.img', options))
    await swift.forgetTokens()
    const target = Buffer.alloc(4)
    // One login in five seconds: the first refusals may come before the next is due.
    const read = () =>
      origin.read(image, 4, target, options).then(
        () => true,
        () => false,
      )
    for (let tries = 0; tries < 100 && !(await read()); tries++) await new Promise(resolve => setTimeout(resolve, 200))
    t.equal(target.toString(), 'ents')
  })
}
