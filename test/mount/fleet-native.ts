/**
 * Native misses of hosts in a group: session threads read the units that their host owns at the origin by themselves.
 * All others come from members, and each byte leaves the origin about once.
 */
import t, { type Test } from 'tap'
import { joiningMs } from '../../src/fleet/group/limits.ts'
import { type FleetHost, FleetHosts, noFleetHosts as skip } from '../fixtures/fleet-hosts.ts'
import { seed } from '../fixtures/seeded.ts'

const sizeBytes = 16 * 1024 ** 2
/** Members are asked first, and busy machines are waited for, without second requests: bytes are counted. */
const fleet = 'prefer: origin-relief, patience: 5s, hedgeShare: 0%'

async function nativeOf(hosts: readonly FleetHost[]) {
  const all = await Promise.all(hosts.map(async host => (await host.fleet()).native))
  return all.map(({ reads, bytes }) => ({ reads, bytes }))
}

async function areCold(t: Test, group: FleetHosts, hosts: readonly FleetHost[], image: string): Promise<void> {
  const before = await group.originBytes()
  const nativeBefore = await nativeOf(hosts)
  const reports = await Promise.all(hosts.map((host, k) => host.sweeps(t, image, seed + k)))
  t.same(
    reports.flatMap(({ wrong }) => wrong),
    [],
    'no error, no wrong byte',
  )
  const share = ((await group.originBytes()) - before) / sizeBytes
  const native = await nativeOf(hosts)
  t.comment(`${share.toFixed(3)} of the unique bytes; ${native.map(({ reads }) => reads)} native reads`)
  t.ok(share <= 1.05, `${share.toFixed(3)} of the unique bytes`)
  t.ok(
    native.some(({ reads }, k) => reads > nativeBefore[k]!.reads),
    'hosts have missed natively',
  )
  for (const [k, host] of hosts.entries()) {
    const { originBytes } = await host.fleet()
    t.ok(originBytes.own >= native[k]!.bytes, 'native bytes are among those of its own units')
  }
}

t.test('hosts in a group read their own units natively', { skip, timeout: 240_000 }, async t => {
  const group = await FleetHosts.open(t, { sizeBytes, images: ['new', 'cold', 'later', 'listed', 'left'] })
  const hosts: FleetHost[] = []
  for (const name of ['h1', 'h2', 'h3']) hosts.push(await group.host(t, name, { fleet }))
  await Promise.all(hosts.map(host => host.knows(3)))
  await t.test('a group that is new', t => areCold(t, group, hosts, 'new'))
  for (const host of hosts) await host.hasBeenMemberFor(2 * joiningMs)
  await Promise.all(hosts.map(host => host.knows(3)))

  await t.test('three are cold at once', t => areCold(t, group, hosts, 'cold'))

  await t.test('one that has left reads nothing natively', async t => {
    const [leaver, ...others] = hosts as [FleetHost, FleetHost, FleetHost]
    t.match(await leaver.says('fleet', 'leave'), { code: 0 })
    for (const host of others) await host.sees(leaver, 'leaving')
    const before = await nativeOf([leaver])
    t.same((await leaver.sweeps(t, 'later')).wrong, [])
    t.same(await nativeOf([leaver]), before)
  })
  for (const host of hosts) await host.unmount()

  await t.test('a group whose members are a list', async t => {
    const listed = await group.listed(t, ['l1', 'l2', 'l3'], { fleet })
    await Promise.all(listed.map(host => host.knows(3)))
    await areCold(t, group, listed, 'listed')
    const reads = (await nativeOf(listed)).map(each => each.reads)
    t.notOk(reads.includes(0), `each reads its own part: ${reads}`)
    await t.test('one that leaves is still listed, and no two wait for each other', async t => {
      const [leaver] = listed as [FleetHost, ...FleetHost[]]
      t.match(await leaver.says('fleet', 'leave'), { code: 0 })
      const before = await group.originBytes()
      const { wrong, longestMs } = await leaver.sweeps(t, 'left')
      t.same(wrong, [], 'no error, no wrong byte')
      for (const host of listed) t.same((await host.sweeps(t, 'left')).wrong, [])
      const share = ((await group.originBytes()) - before) / sizeBytes
      t.ok(share <= 1.05, `${share.toFixed(3)} of the unique bytes`)
      const late = await Promise.all(listed.map(async host => (await host.fleet()).originReads.late))
      t.comment(`longest read ${longestMs} ms, ${late} reads were late`)
      t.same(late, [0, 0, 0])
    })
    for (const host of listed) await host.unmount()
  })
})
