/**
 * The contract of an origin, kept by a pool of RBD images: each file is an image with one protected snapshot.
 */
import { statSync } from 'node:fs'
import { loadCephAddon } from '../../../src/native/ceph-addon.ts'
import { openOrigin } from '../../../src/origin/open-origin.ts'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { MirroringOrigin } from '../../fixtures/ceph/mirror.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { originContract } from '../origin.ts'

export function rbdContract(cluster: () => CephTestCluster): void {
  originContract(
    'an RBD pool',
    async directory => {
      const { configuration } = cluster()
      const tool = (...args: readonly string[]) => cluster().tool('rbd', ...args)
      await tool('namespace', 'create', 'rbd/contract')
      const options = { ceph: { configurationFile: configuration } }
      const origin = openOrigin('rbd://rbd/contract/', { addon: noHoles, loadCeph: loadCephAddon, options })
      const spec = (name: string) => `rbd/contract/${name}`
      return new MirroringOrigin(origin, directory, {
        put: async (name, path) => {
          // An empty file cannot be imported.
          if (statSync(path).size === 0) await tool('create', '--size', '0', spec(name))
          else await tool('import', '--no-progress', path, spec(name))
          await tool('snap', 'create', '--no-progress', `${spec(name)}@s`)
          await tool('snap', 'protect', `${spec(name)}@s`)
        },
        remove: async name => {
          await tool('snap', 'unprotect', `${spec(name)}@s`)
          await tool('snap', 'purge', '--no-progress', spec(name))
          await tool('rm', '--no-progress', spec(name))
        },
      })
    },
    { digests: false },
  )
}
