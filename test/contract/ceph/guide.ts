/** The guide to Ceph: its commands are taken out of the page and run with the cluster that the other tests share. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { cannotMount, place } from '../../fixtures/daemon.ts'
import { startGuideHost } from '../../fixtures/guide-hosts.ts'
import { blocksOf } from '../../fixtures/guide-page.ts'

export function cephGuide(cluster: () => CephTestCluster): void {
  t.test('the commands of ceph.md do what the page says', { skip: cannotMount }, async t => {
    const host = await startGuideHost(t, place(t).top, { name: 'host-a', hasNetwork: true })
    await host.run(`export CEPH_CONF='${cluster().configuration}'\n`)
    for (const { script } of blocksOf(readFileSync('docs/guides/ceph.md', 'utf8'))) await host.run(script)
    t.match(host.said(), / is done\n$/)
  })
}
