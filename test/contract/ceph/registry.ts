/**
 * The registry of a group in a real cluster: two hosts find each other by the omap of an object; a notice is a hint, and
 * an OSD that is stopped takes nobody out.
 */
import t, { type Test } from 'tap'
import type { Member } from '../../../src/fleet/group/member.ts'
import { RadosRegistry } from '../../../src/fleet/registry/rados-registry.ts'
import { loadCephAddon } from '../../../src/native/ceph-addon.ts'
import { OmapObject } from '../../../src/origin/ceph/omap-object.ts'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { until } from '../../fixtures/until.ts'

function memberOf(k: number): Member {
  return { id: `m${k}`, url: `https://10.0.0.${k}:1`, rack: '', weight: 1, blockBytes: 65_536, state: 'up', since: k }
}

export function cephRegistry(cluster: () => CephTestCluster): void {
  t.test('entries of an omap, and notices to those that watch', t => entriesAndNotices(t, cluster()))
  t.test('members in the omap of an object', t => membersInOmap(t, cluster()))
}

function open({ configuration }: CephTestCluster, object: string, callMsMax = 20_000): OmapObject {
  const options = { id: null, configurationFile: configuration, keyring: null, callMsMax }
  return new OmapObject({ cluster: 'ceph', pool: 'rbd' }, object, { addon: loadCephAddon(), ...options })
}

async function entriesAndNotices(t: Test, cluster: CephTestCluster): Promise<void> {
  const [a, b] = [open(cluster, 'omap'), open(cluster, 'omap')]
  t.teardown(() => Promise.all([a.close(), b.close()]))
  t.same(await a.entries('x/', 10), [], 'there is no object yet')
  for (const key of ['x/1', 'x/2', 'y/1']) await a.set(key, `value of ${key}, ünïcode`)
  t.same(await b.entries('x/', 10), [
    ['x/1', 'value of x/1, ünïcode'],
    ['x/2', 'value of x/2, ünïcode'],
  ])
  t.equal((await b.entries('x/', 1)).length, 1, 'as many as are asked for')
  await b.remove('x/1')
  await b.remove('never')
  t.same(
    (await a.entries('', 10)).map(([key]) => key),
    ['x/2', 'y/1'],
  )
  const noticed = a.noticed()
  let hears = false
  void noticed.then(() => {
    hears = true
  })
  // The watch is there some time after it was asked for.
  const tell = async () => {
    await b.notify()
    return hears
  }
  await until(tell, 60_000, 'a notice')
  const ended = t.rejects(a.noticed(), { code: 'origin-failed' }, 'the end of the watch')
  await a.close()
  await ended
}

async function membersInOmap(t: Test, cluster: CephTestCluster): Promise<void> {
  const views = new Map<number, string[]>()
  const begin = (k: number, own: Member | null) => {
    const registry = new RadosRegistry({
      object: open(cluster, 'parentfs.g', 3_000),
      group: 'g',
      logger: keepingLogger(),
      now: () => performance.now(),
      renewMs: 500,
      pollMs: 500,
      goneMs: 40_000,
    })
    registry.register(own)
    registry.watch({ onMembers: members => views.set(k, members.map(({ id }) => id).sort()), onHeard: () => {} })
    t.teardown(() => registry.close())
    return registry
  }
  const knows = (k: number, ...ids: string[]) => until(() => `${views.get(k)}` === `${ids}`, 90_000, `${k}: ${ids}`)
  const [first, second] = [begin(1, memberOf(1)), begin(2, memberOf(2)), begin(3, null)]
  for (const k of [1, 2, 3]) await knows(k, 'm1', 'm2')
  cluster.signal('osd', 'SIGSTOP')
  try {
    await until(() => first!.state.state === 'away', 90_000, 'the cluster hangs')
    t.same(views.get(1), ['m1', 'm2'])
  } finally {
    cluster.signal('osd', 'SIGCONT')
  }
  await until(() => first!.state.state === 'connected', 90_000, 'it answers again')
  t.same(views.get(1), ['m1', 'm2'])
  await second!.close()
  for (const k of [1, 3]) await knows(k, 'm1')
}
