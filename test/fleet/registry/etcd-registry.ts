/** Membership in Debian's etcd, three processes: each fault of the cluster leaves the view as it was. */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { formatMember, type Member } from '../../../src/fleet/group/member.ts'
import { EtcdRegistry, type EtcdRegistryOptions } from '../../../src/fleet/registry/etcd-registry.ts'
import { recordBytesMax } from '../../../src/fleet/registry/limits.ts'
import { makeCertificate, makeSignedCertificate, noCertificates } from '../../fixtures/certificate.ts'
import { EtcdCluster, noEtcd } from '../../fixtures/etcd.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { until } from '../../fixtures/until.ts'

const waitMs = 60_000

/** The time without a quorum, longer than a lease; more by QUORUM_SECONDS=600. */
const quorumLostMs = Number(process.env.QUORUM_SECONDS ?? 11) * 1000

function memberOf(k: number): Member {
  const url = `https://10.0.0.${k}:7447`
  return { id: `10.0.0.${k}:7447`, url, rack: '', weight: 1, blockBytes: 65_536, state: 'up', since: k }
}

/** A registry that follows, and its latest list. */
class Following {
  readonly registry: EtcdRegistry
  readonly logger = keepingLogger()
  members: readonly Member[] = []
  /** The least members that a list had since {@link forget}. */
  fewest = Number.POSITIVE_INFINITY

  constructor(t: Test, servers: readonly string[], k: number | null, options: Partial<EtcdRegistryOptions> = {}) {
    const none = { ca: null, certificate: null, key: null, user: null, password: null }
    const place = { servers, ...none, prefix: 'parentfs', group: 'az1', renewMs: 500, logger: this.logger }
    this.registry = new EtcdRegistry({ ...place, ...options })
    t.teardown(() => this.registry.close())
    this.registry.register(k === null ? null : memberOf(k))
    this.registry.watch({
      onHeard: () => {},
      onMembers: members => {
        this.members = members
        this.fewest = Math.min(this.fewest, members.length)
      },
    })
  }

  forget(): void {
    this.fewest = Number.POSITIVE_INFINITY
  }

  sees(count: number): Promise<void> {
    return until(() => this.members.length === count, waitMs, `${count} members are seen`)
  }

  is(state: 'connected' | 'away'): Promise<void> {
    return until(() => this.registry.state.state === state, waitMs, `the registry is ${state}`)
  }

  isAwayFor(reason: RegExp): Promise<void> {
    const { registry } = this
    const isSo = () => registry.state.state === 'away' && reason.test(registry.state.reason)
    return until(isSo, waitMs, `the registry is away: ${reason}`)
  }
}

t.test('members see each other come, change and leave', { skip: noEtcd }, async t => {
  const cluster = await EtcdCluster.open(t, { count: 1 })
  // A lease that would outlive the test: hosts that leave end theirs.
  const following = [1, 2, null].map(k => new Following(t, cluster.urls, k, { leaseMs: 3_600_000 }))
  const [a, b, onlooker] = following as [Following, Following, Following]
  await Promise.all([a.sees(2), b.sees(2), onlooker.sees(2)])
  t.same(
    [...onlooker.members].sort((x, y) => x.since - y.since),
    [memberOf(1), memberOf(2)],
  )
  a.registry.register({ ...memberOf(1), state: 'leaving' })
  await until(() => b.members.some(({ state }) => state === 'leaving'), waitMs, 'a member that leaves')
  await a.registry.close()
  await b.sees(1)
  b.registry.register(null)
  await onlooker.sees(0)
  await cluster.control('put', 'parentfs/az1/member/evil', '{"v":1,"url":"https://x:1/path?q","weight":"NaN"}')
  await cluster.control('put', 'parentfs/az2/member/10.0.0.9:7447', JSON.stringify({ v: 1 }))
  await cluster.control('put', 'parentfs/az1/member/big', 'x'.repeat(5_000))
  await cluster.control(
    'put',
    'parentfs/az1/member/10.0.0.8:7447',
    formatMember(memberOf(8)) + ' '.repeat(recordBytesMax),
  )
  b.registry.register(memberOf(2))
  await onlooker.sees(1)
})

t.test('a record that an operator removes comes back, though its lease goes on', { skip: noEtcd }, async t => {
  const cluster = await EtcdCluster.open(t, { count: 1 })
  const following = [1, 2].map(k => new Following(t, cluster.urls, k, { leaseMs: 3_600_000, renewMs: 3_600_000 }))
  const [a, b] = following as [Following, Following]
  await Promise.all([a.sees(2), b.sees(2)])
  t.equal((await cluster.control('del', '--prefix', 'parentfs/')).trim(), '2')
  const records = async () => (await cluster.control('get', '--prefix', '--keys-only', 'parentfs/')).match(/:7447/g)
  await until(async () => (await records())?.length === 2, waitMs, 'both records are back')
  await Promise.all([a.sees(2), b.sees(2)])
  t.same(
    [a, b].map(({ registry }) => registry.state.registeredAnew),
    [0, 0],
    'with the leases of before',
  )
})

t.test('a watch that etcd cancels is followed by a list, whose members are all there are', async t => {
  let lists = 0
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const server = createServer((request, response) => {
    if (request.url === '/v3/watch') return void response.write('{"result":{"canceled":true}}\n')
    let body = ''
    request.on('data', chunk => {
      body += chunk
    })
    request.on('end', () => {
      const isList = request.url === '/v3/kv/range' && !body.includes('count_only')
      const members = isList && ++lists > 1 ? [memberOf(1)] : [memberOf(1), memberOf(2)]
      const kvs = members.map(member => ({
        key: base64(`parentfs/az1/member/${member.id}`),
        value: base64(formatMember(member)),
      }))
      response.end(JSON.stringify({ header: { revision: '1' }, kvs }))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const onlooker = new Following(t, [`http://127.0.0.1:${(server.address() as AddressInfo).port}`], null)
  await until(() => lists > 1, waitMs, 'another list')
  await onlooker.sees(1)
})

/** A cluster of three with three members. */
async function startedCluster(t: Test) {
  const cluster = await EtcdCluster.open(t)
  const hosts = [1, 2, 3].map(k => new Following(t, cluster.urls, k))
  const all = (count: number) => Promise.all(hosts.map(host => host.sees(count)))
  await all(3)
  const renewals = () => Promise.all(hosts.map(host => host.is('connected')))
  const forget = () => {
    for (const host of hosts) host.forget()
  }
  const nobodyWasLost = (t: Test) => t.ok(Math.min(...hosts.map(({ fewest }) => fewest)) >= 3, 'nobody was lost')
  return { cluster, hosts, all, renewals, forget, nobodyWasLost }
}

t.test('faults of a leader', { skip: noEtcd, timeout: 240_000 }, async t => {
  const { cluster, all, renewals, forget, nobodyWasLost } = await startedCluster(t)

  await t.test('the leader is killed', async t => {
    forget()
    const leader = await cluster.leader()
    await cluster.kill(leader)
    const late = new Following(t, cluster.urls, 4)
    await all(4)
    nobodyWasLost(t)
    await late.registry.close()
    await all(3)
    await cluster.start([leader])
    await renewals()
  })

  await t.test('the leader is stopped', async t => {
    forget()
    const leader = await cluster.leader()
    cluster.signal(leader, 'SIGSTOP')
    t.teardown(() => cluster.signal(leader, 'SIGCONT'))
    const late = new Following(t, cluster.urls, 5)
    await all(4)
    nobodyWasLost(t)
    cluster.signal(leader, 'SIGCONT')
    await late.registry.close()
    await all(3)
    await renewals()
  })
})

t.test('faults of a cluster of three', { skip: noEtcd, timeout: 240_000 + quorumLostMs }, async t => {
  const { cluster, hosts, all, renewals, forget, nobodyWasLost } = await startedCluster(t)

  await t.test('the quorum is lost for longer than a lease', async t => {
    forget()
    const names = cluster.names.slice(0, 2)
    for (const name of names) await cluster.kill(name)
    await Promise.all(hosts.map(host => host.is('away')))
    const startMs = performance.now()
    await until(() => performance.now() - startMs > quorumLostMs, quorumLostMs + waitMs, 'a lease is over')
    t.comment(`${quorumLostMs / 1000} s without a quorum`)
    t.ok(hosts.every(({ members }) => members.length === 3))
    nobodyWasLost(t)
    // A list needs no quorum: a host that starts now finds all.
    const late = new Following(t, cluster.urls, null)
    await late.sees(3)
    await cluster.start(names)
    await renewals()
    nobodyWasLost(t)
  })

  await t.test('all are stopped, and started again', async t => {
    forget()
    for (const name of cluster.names) await cluster.kill(name)
    await Promise.all(hosts.map(host => host.is('away')))
    await cluster.start()
    await renewals()
    await all(3)
    nobodyWasLost(t)
    const warnings = hosts[0]!.logger.lines.filter(({ message }) => /away/.test(message)).length
    t.ok(warnings <= 8, `${warnings} warnings: not one for each try`)
  })

  await t.test('it comes back empty: all register anew', async t => {
    const before = hosts.map(({ registry }) => registry.state.registeredAnew)
    for (const name of cluster.names) await cluster.kill(name)
    for (const name of cluster.names) cluster.wipe(name)
    await cluster.start()
    await until(() => hosts.every(({ registry }, k) => registry.state.registeredAnew > before[k]!), waitMs, 'anew')
    await renewals()
    await all(3)
    t.pass('all are there again')
  })
})

t.test('it is started after the hosts', { skip: noEtcd }, async t => {
  const cluster = await EtcdCluster.open(t, { count: 1, isStarted: false })
  const host = new Following(t, cluster.urls, 1)
  await host.is('away')
  await cluster.start()
  await host.sees(1)
  await host.is('connected')
  t.same(host.members, [memberOf(1)])
})

t.test('a user logs in, and again when the login is over; a wrong one is refused', { skip: noEtcd }, async t => {
  const cluster = await EtcdCluster.open(t, { count: 1 })
  const set = (...words: readonly string[]) => cluster.control(...words)
  await set('user', 'add', 'root:secret')
  await set('user', 'add', 'pfs:good')
  await set('role', 'add', 'members')
  await set('role', 'grant-permission', 'members', '--prefix=true', 'readwrite', 'parentfs/')
  await set('user', 'grant-role', 'pfs', 'members')
  await set('user', 'grant-role', 'root', 'root')
  await set('auth', 'enable')
  const host = new Following(t, cluster.urls, 1, { user: 'pfs', password: async () => 'good' })
  await host.sees(1)
  const stranger = new Following(t, cluster.urls, 2, { user: 'pfs', password: async () => 'bad' })
  await stranger.isAwayFor(/invalid user ID or password|authentication failed/)
  const outside = new Following(t, cluster.urls, 3, { user: 'pfs', password: async () => 'good', prefix: 'other' })
  await outside.isAwayFor(/permission denied/)
  // The tokens of a server end with it.
  await cluster.kill('e0')
  await host.is('away')
  await cluster.start(['e0'], 'root:secret')
  await host.is('connected')
  t.equal(host.members.length, 1)
  t.notMatch(JSON.stringify(host.logger.lines), /good/)
})

t.test(
  'certificates of both sides; one that is over is replaced without a restart',
  {
    skip: noEtcd || noCertificates,
  },
  async t => {
    const directory = mkdtempSync(join(tmpdir(), 'parentfs-etcd-tls-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const place = (name: string) => {
      mkdirSync(join(directory, name))
      return join(directory, name)
    }
    const authority = makeCertificate(place('ca'), 'DNS:ca.example')
    const server = makeSignedCertificate(place('server'), authority, 'IP:127.0.0.1')
    const tls = { ca: authority.certificate, certificate: server.certificate, key: server.key }
    const cluster = await EtcdCluster.open(t, { count: 1, tls })
    const over = makeSignedCertificate(place('over'), { ...authority, days: -1 }, 'DNS:host.example')
    const host = new Following(t, cluster.urls, 1, { ca: tls.ca, certificate: over.certificate, key: over.key })
    await host.is('away')
    t.equal(host.members.length, 0)
    // As a renewal writes it: in the place of the one of before.
    makeSignedCertificate(join(directory, 'over'), authority, 'DNS:host.example')
    await host.is('connected')
    await host.sees(1)
  },
)
