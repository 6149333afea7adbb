/**
 * The Swift API of Ceph's object gateway: plain and dynamic large objects. Static ones are refused.
 */
import t from 'tap'
import { openOrigin } from '../../../src/origin/open-origin.ts'
import { openStackSettingsDefault } from '../../../src/origin/openstack/openstack-options.ts'
import { swiftOptionsDefault } from '../../../src/origin/swift/swift-origin.ts'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { noRadosgw, startSwiftGateway } from '../../fixtures/ceph/radosgw.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { SwiftObjects, swiftAccess } from '../../fixtures/swift-objects.ts'
import { swiftLargeObjects } from '../swift/large-objects.ts'
import { type SwiftSubject, swiftContract } from '../swift/swift-contract.ts'

export async function swiftGateway(cluster: () => CephTestCluster): Promise<void> {
  if (noRadosgw !== false) {
    t.test('the Swift API of radosgw', { skip: noRadosgw }, async () => {})
    return
  }
  const { authUrl, user, key } = await startSwiftGateway(t, cluster())
  process.env.SWIFT_GATEWAY_KEY = key
  const settings = { ...openStackSettingsDefault, username: user, password: { env: 'SWIFT_GATEWAY_KEY' } }
  const options = { swift: { ...swiftOptionsDefault, settings } }
  const subject: SwiftSubject = {
    objects: new SwiftObjects(await swiftAccess(authUrl, user, key)),
    open: url => openOrigin(`${url}?auth=${encodeURIComponent(authUrl)}`, { addon: noHoles, options }),
  }
  swiftContract('radosgw', () => subject, ['plain', 'dynamic'])
  swiftLargeObjects('radosgw', () => subject, false)
}
