/**
 * Buckets of a Ceph object gateway as origins, against a real one.
 */
import t from 'tap'
import { s3Contract } from '../contract/s3.ts'
import { CephTestCluster, noCeph } from '../fixtures/ceph/cluster.ts'
import { noRadosgw, startRadosgw } from '../fixtures/ceph/radosgw.ts'

const cannot = noCeph || noRadosgw

if (cannot !== false) {
  t.test('buckets of a Ceph object gateway', { skip: cannot }, async () => {})
} else {
  const cluster = await CephTestCluster.start(t)
  const account = await startRadosgw(t, cluster)
  s3Contract('a Ceph object gateway', () => account)
}
