/** The examples of docs/ORIGINS.md for a pool of images and a pool of objects: a clone runs on each. */
import { join } from 'node:path'
import t from 'tap'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { cannotMount, parentfs, place } from '../../fixtures/daemon.ts'
import { writeSample } from '../../fixtures/images.ts'
import { originsExamples, runCommands } from '../../fixtures/origins-page.ts'
import { run } from '../../fixtures/run.ts'

export function cephExamples(cluster: () => CephTestCluster): void {
  t.test('clones over a snapshot and over an object as documented', { skip: cannotMount }, async t => {
    const [images, objects] = [place(t), place(t)]
    const at = (name: string) => join(images.top, name)
    writeSample(at('debian-12.raw'), { seed: 62, sizeBytes: 16 * 1024 * 1024, dataShare: 0.5 })
    const shared = { images: 'documented', 'debian-12.raw': at('debian-12.raw'), '200GiB': '200MiB' }
    const [first] = originsExamples('### From an empty cluster to a booting clone', {
      ...shared,
      '/etc/ceph/ceph.client.parents.keyring': join(cluster().directory, 'client.parents.keyring'),
      '/mnt/parents': images.mountpoint,
      '/ssd/parents': images.cacheDirectory,
      '/var/lib/vms/one.qcow2': at('one.qcow2'),
      // A guest that boots is another test's.
      'qemu-system-x86_64': 'true',
    })
    const [second] = originsExamples('### From an object to a booting clone', {
      ...shared,
      '/mnt/objects': objects.mountpoint,
      '/ssd/objects': objects.cacheDirectory,
      '/var/lib/vms/two.qcow2': at('two.qcow2'),
    })
    const inCluster = `export CEPH_CONF='${cluster().configuration}'\n`
    t.match(await runCommands(inCluster + first), / debian\n.* debian@2026-11\n/)
    t.match(await runCommands(inCluster + second), /^debian-12\n/)
    for (const clone of ['one.qcow2', 'two.qcow2']) {
      await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', at(clone), at('debian-12.raw'))
      await run('qemu-io', '-f', 'qcow2', '-c', 'write -P 0x5a 1M 64k', '-c', 'read -P 0x5a 1M 64k', at(clone))
    }
    // Other tests have a user of that name.
    await cluster().tool('ceph', 'auth', 'rm', 'client.parents')
    for (const { mountpoint } of [images, objects]) t.match(await parentfs('unmount', mountpoint), { code: 0 })
  })
}
