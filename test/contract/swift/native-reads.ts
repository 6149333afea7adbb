/**
 * Plain objects of Swift are read by session threads themselves, with the token of the login, and under their own MD5
 * alone.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { ReaderTable } from '../../../src/origin/contract/native-read-sources.ts'
import { openStackSettingsDefault } from '../../../src/origin/openstack/openstack-options.ts'
import { SwiftOrigin, swiftOptionsDefault } from '../../../src/origin/swift/swift-origin.ts'
import { startNativeReads } from '../../fixtures/native-reads.ts'
import { pattern } from '../../fixtures/pattern.ts'
import type { SwiftObjects } from '../../fixtures/swift-objects.ts'
import type { SwiftServer } from '../../fixtures/swift-server.ts'
import { until } from '../../fixtures/until.ts'

const { signal } = new AbortController()
const sizeBytes = 1_000_000
const bytes = Buffer.from(pattern(1, 0, sizeBytes))

export function swiftNativeReads({ authUrl, user, key }: SwiftServer, objects: SwiftObjects): void {
  t.test('session threads read plain objects by themselves, and no other version', async t => {
    await objects.create('native')
    await objects.put('native', 'a.img', bytes)
    const directory = mkdtempSync(join(tmpdir(), 'parentfs-swift-native-'))
    t.teardown(() => rmSync(directory, { recursive: true }))
    const addon = loadAddon()
    const grant = addon.createGrant(false, false)
    grant.limit(100)
    const readers = new ReaderTable(10, grant)
    const receiver = addon.createReceiver()
    t.teardown(() => receiver.close())
    process.env.SWIFT_NATIVE_KEY = key
    const settings = { ...openStackSettingsDefault, username: user, password: { env: 'SWIFT_NATIVE_KEY' } }
    const origin = new SwiftOrigin(
      `swift://native/?auth=${encodeURIComponent(authUrl)}`,
      { ...swiftOptionsDefault, settings },
      { inPlaceBytesMin: 1, receiver, readers },
    )
    t.teardown(() => origin.close())
    const image = identify(await origin.lookup('a.img', { signal }))
    const native = await startNativeReads(t, directory, sizeBytes)
    readers.onChange = imageId => imageId === image.id && native.use(readers.get(imageId))
    const published = async () => {
      await origin.read(image, 0, Buffer.alloc(4096), { signal })
      return (await native.read(500_000, 4096)) !== null
    }
    await until(published, 30_000, 'a native read')
    t.ok(bytes.subarray(700_000, 704_096).equals((await native.read(700_000, 4096))!))
    await objects.put('native', 'a.img', Buffer.from(pattern(2, 0, sizeBytes)))
    t.equal(await native.read(100_000, 4096), null, 'another version is left to TypeScript')
    await t.rejects(origin.read(image, 100_000, Buffer.alloc(4096), { signal }), { code: 'image-changed' })
  })
}
