/**
 * Origins in a Ceph cluster, against a real one that all of this shares.
 */
import t from 'tap'
import { rbdBytes } from '../contract/ceph/rbd-bytes.ts'
import { rbdContract } from '../contract/ceph/rbd-contract.ts'
import { CephTestCluster, noCeph } from '../fixtures/ceph/cluster.ts'

if (noCeph !== false) {
  t.test('origins in a Ceph cluster', { skip: noCeph }, async () => {})
} else {
  const cluster = await CephTestCluster.start(t)
  rbdContract(() => cluster)
  rbdBytes(() => cluster)
}
