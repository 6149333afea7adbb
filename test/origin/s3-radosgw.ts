/**
 * Buckets of a Ceph object gateway as origins, against a real one; and an image service with its stores there and in RBD.
 */
import t from 'tap'
import { loadCephAddon } from '../../src/native/ceph-addon.ts'
import { knownStore } from '../contract/glance/known-stores.ts'
import { s3Contract } from '../contract/s3.ts'
import { CephTestCluster, noCeph } from '../fixtures/ceph/cluster.ts'
import { noRadosgw, startRadosgw } from '../fixtures/ceph/radosgw.ts'
import { noGlance, startGlance } from '../fixtures/glance-server.ts'
import type { S3Account } from '../fixtures/s3-client.ts'

const cannot = noCeph || noRadosgw

if (cannot !== false) {
  t.test('buckets of a Ceph object gateway', { skip: cannot }, async () => {})
} else {
  const cluster = await CephTestCluster.start(t)
  const account = await startRadosgw(t, cluster)
  s3Contract('a Ceph object gateway', () => account)
  if (noGlance === false) imageService(cluster, account)
  else t.test('an image service with stores in Ceph', { skip: noGlance }, async () => {})
}

function imageService(cluster: CephTestCluster, account: S3Account): void {
  process.env.GLANCE_TEST_SECRET = account.secretKey
  const starting = (async () => {
    await cluster.createPool('images')
    const server = await startGlance(t, { s3: account, ceph: cluster })
    const fsid = String(await cluster.tool('ceph', 'fsid')).trim()
    return { server, fsid }
  })()
  knownStore('s3', async () => {
    const { server } = await starting
    const keys = { accessKeyId: account.accessKey, secretAccessKey: { env: 'GLANCE_TEST_SECRET' } }
    const store = {
      location: `s3://${new URL(account.endpoint).host}/glance-s3/`,
      url: `s3://glance-s3/?endpoint=${account.endpoint}`,
      options: { s3: { keys, region: account.region, addressing: 'path' as const } },
    }
    return { server, imageStores: [store] }
  })
  knownStore('rbd', async () => {
    const { server, fsid } = await starting
    const options = { ceph: { configurationFile: cluster.configuration } }
    const store = { location: `rbd://${fsid}/images/`, url: 'rbd://images/', options }
    return { server, imageStores: [store], loadCeph: loadCephAddon }
  })
}
