/**
 * Origins in a Ceph cluster, against a real one that all of this shares.
 */
import t from 'tap'
import { cephExamples } from '../contract/ceph/examples.ts'
import { cephFaults } from '../contract/ceph/faults.ts'
import { cephGuide } from '../contract/ceph/guide.ts'
import { cephMounted } from '../contract/ceph/mounted.ts'
import { cephNativeReads } from '../contract/ceph/native-reads.ts'
import { radosContract } from '../contract/ceph/rados-contract.ts'
import { rbdBytes } from '../contract/ceph/rbd-bytes.ts'
import { rbdContract } from '../contract/ceph/rbd-contract.ts'
import { cephRegistry } from '../contract/ceph/registry.ts'
import { swiftGateway } from '../contract/ceph/swift-gateway.ts'
import { CephTestCluster, noCeph } from '../fixtures/ceph/cluster.ts'

if (noCeph !== false) {
  t.test('origins in a Ceph cluster', { skip: noCeph }, async () => {})
} else {
  const cluster = await CephTestCluster.start(t)
  // The gateway starts on a sound cluster, and the faults come last.
  await swiftGateway(() => cluster)
  rbdContract(() => cluster)
  rbdBytes(() => cluster)
  radosContract(() => cluster)
  cephNativeReads(() => cluster)
  cephRegistry(() => cluster)
  cephMounted(() => cluster)
  cephGuide(() => cluster)
  cephExamples(() => cluster)
  cephFaults(() => cluster)
}
