/**
 * The contract of an origin, kept by the objects of a pool.
 */
import { loadCephAddon } from '../../../src/native/ceph-addon.ts'
import { openOrigin } from '../../../src/origin/open-origin.ts'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { MirroringOrigin } from '../../fixtures/ceph/mirror.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { originContract } from '../origin.ts'

export function radosContract(cluster: () => CephTestCluster): void {
  originContract('the objects of a pool', async directory => {
    const options = { ceph: { configurationFile: cluster().configuration } }
    const url = 'rados://rbd/objects/golden/x'
    const origin = openOrigin(url, { addon: noHoles, loadCeph: loadCephAddon, options })
    const tool = (...args: readonly string[]) => cluster().tool('rados', '-p', 'rbd', '-N', 'objects', ...args)
    // Beside them, and none of them.
    await tool('put', 'golden/other', '/dev/null')
    return new MirroringOrigin(origin, directory, {
      put: async (name, path) => void (await tool('put', `golden/x${name}`, path)),
      remove: async name => void (await tool('rm', `golden/x${name}`)),
    })
  })
}
