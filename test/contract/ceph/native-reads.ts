/**
 * Reads of a Ceph cluster by session threads: right bytes of the version that was opened, and none of another one.
 */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { loadCephAddon } from '../../../src/native/ceph-addon.ts'
import { ReaderTable } from '../../../src/origin/contract/native-read-sources.ts'
import { openOrigin } from '../../../src/origin/open-origin.ts'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { freeGrant } from '../../fixtures/free-grant.ts'
import { type SampleImage, sampleBytes, writeSample } from '../../fixtures/images.ts'
import { startNativeReads } from '../../fixtures/native-reads.ts'

const signal = new AbortController().signal
const sample: SampleImage & { readonly dataShare: number } = { seed: 15, sizeBytes: 2 ** 21, dataShare: 1 }
/** Objects of the mount's data file. */
const objectBytes = 2 ** 18

export function cephNativeReads(cluster: () => CephTestCluster): void {
  t.test('session threads read a cluster by themselves', async t => {
    const path = join(t.testdir(), 'sample')
    writeSample(path, sample)
    await t.test('an object, until it is written to', async t => await object(t, cluster(), path))
    await t.test('a snapshot, and a clone of it', async t => await snapshots(t, cluster()))
    await t.test('a snapshot, until its origin is closed', async t => await closed(t, cluster()))
  })
}

/** An image of an origin, read once, and then natively. */
async function natively(t: Test, cluster: CephTestCluster, url: string, key: string, shape: SampleImage = sample) {
  const readers = new ReaderTable(1, freeGrant)
  const options = { ceph: { configurationFile: cluster.configuration } }
  const origin = openOrigin(url, { addon: noHoles, loadCeph: loadCephAddon, readers, options })
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup(key, { signal }))
  await origin.read(image, 0, new Uint8Array(1), { signal })
  const reads = await startNativeReads(t, t.testdir(), sample.sizeBytes)
  reads.use(readers.get(image.id))
  const isRight = async (offset: number) => {
    const bytes = await reads.read(offset, 4096)
    return bytes && sampleBytes(shape, offset, 4096).equals(bytes)
  }
  return { origin, isRight }
}

async function object(t: Test, cluster: CephTestCluster, path: string): Promise<void> {
  const put = async () => await cluster.tool('rados', '-p', 'rbd', '-N', 'native', 'put', 'image', path)
  await put()
  const { origin, isRight } = await natively(t, cluster, 'rados://rbd/native/', 'image')
  for (let k = 0; k < 6; k++) t.ok(await isRight(k * objectBytes + 4096), `object ${k}`)
  await put()
  t.equal(await isRight(6 * objectBytes), null, 'the next version comes to TypeScript')
  await origin.close()
  t.equal(await isRight(7 * objectBytes), null, 'and so do reads of a closed origin')
}

/** Data, zeros and holes, in a snapshot and in one of its clone; and what is left when the snapshot is deleted. */
async function snapshots(t: Test, cluster: CephTestCluster): Promise<void> {
  const sparse = { ...sample, dataShare: 0.5 }
  const path = join(t.testdir(), 'sparse')
  writeSample(path, sparse)
  const rbd = (...args: readonly string[]) => cluster.tool('rbd', ...args)
  await rbd('import', '--no-progress', '--object-size', '64K', path, 'rbd/native')
  await rbd('snap', 'create', '--no-progress', 'rbd/native@s')
  await rbd('snap', 'protect', 'rbd/native@s')
  await rbd('clone', 'rbd/native@s', 'rbd/native-clone')
  await rbd('snap', 'create', '--no-progress', 'rbd/native-clone@s')
  const blocks = Array.from({ length: sparse.sizeBytes / 65_536 }, (_, k) => k * 65_536)
  const isHole = (offset: number) => sampleBytes(sparse, offset, 65_536).every(byte => byte === 0)
  const hole = blocks.find(isHole)
  t.ok(hole !== undefined && !blocks.every(isHole))
  for (const key of ['native@s', 'native-clone@s']) {
    const { isRight } = await natively(t, cluster, 'rbd://rbd/', key, sparse)
    for (const offset of blocks) t.ok(await isRight(offset), `${key} at ${offset}`)
    if (key === 'native@s') continue
    await rbd('snap', 'rm', '--no-progress', 'rbd/native-clone@s')
    t.equal(await isRight(hole!), null, 'without its snapshot zeros come to TypeScript')
  }
}

async function closed(t: Test, cluster: CephTestCluster): Promise<void> {
  const { origin, isRight } = await natively(t, cluster, 'rbd://rbd/', 'native@s', { ...sample, dataShare: 0.5 })
  t.ok(await isRight(0))
  await origin.close()
  t.equal(await isRight(65_536), null, 'reads of a closed origin come to TypeScript')
}
