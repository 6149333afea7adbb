/** Logins and certificates at Debian's etcd that end while they are in use: nobody is lost, and nothing is restarted. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { formatMember, type Member } from '../../../src/fleet/group/member.ts'
import { EtcdGateway } from '../../../src/fleet/registry/etcd-gateway.ts'
import { EtcdRegistry, type EtcdRegistryOptions } from '../../../src/fleet/registry/etcd-registry.ts'
import {
  makeCertificate,
  makeEndingCertificate,
  makeSignedCertificate,
  noCertificates,
  noEndings,
} from '../../fixtures/certificate.ts'
import { EtcdCluster, noEtcd } from '../../fixtures/etcd.ts'
import { freePort } from '../../fixtures/free-port.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { startScripted } from '../../fixtures/scripted-server.ts'
import { until } from '../../fixtures/until.ts'

const waitMs = 60_000

function memberOf(k: number): Member {
  const url = `https://10.0.0.${k}:7447`
  return { id: `10.0.0.${k}:7447`, url, rack: '', weight: 1, blockBytes: 65_536, state: 'up', since: k }
}

function follow(t: Test, servers: readonly string[], options: Partial<EtcdRegistryOptions>) {
  const logger = keepingLogger()
  const none = { ca: null, certificate: null, key: null, user: null, password: null }
  const times = { leaseMs: 3_000, renewMs: 300 }
  const registry = new EtcdRegistry({ servers, ...none, prefix: 'parentfs', group: 'g', ...times, logger, ...options })
  t.teardown(() => registry.close())
  let members: readonly Member[] = []
  let fewest = Number.POSITIVE_INFINITY
  registry.register(memberOf(1))
  registry.watch({
    onHeard: () => {},
    onMembers: listed => {
      members = listed
      if (listed.length > 0) fewest = Math.min(fewest, listed.length)
    },
  })
  const is = (state: string) => until(() => registry.state.state === state, waitMs, `the registry is ${state}`)
  const sees = (id: string) => until(() => members.some(member => member.id === id), waitMs, `${id} is seen`)
  return { registry, logger, is, sees, members: () => members, fewest: () => fewest }
}

t.test(
  'a login that has ended is made anew when it is needed, and the watch goes on',
  { skip: noEtcd || noCertificates },
  async t => {
    const directory = mkdtempSync(join(tmpdir(), 'parentfs-etcd-jwt-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const [key, pub] = [join(directory, 'jwt.key'), join(directory, 'jwt.pub')]
    execFileSync('openssl', ['genrsa', '-out', key, '2048'], { stdio: 'pipe' })
    execFileSync('openssl', ['rsa', '-in', key, '-pubout', '-out', pub], { stdio: 'pipe' })
    const words = ['--auth-token', `jwt,pub-key=${pub},priv-key=${key},sign-method=RS256,ttl=1s`]
    const cluster = await EtcdCluster.open(t, { count: 1, words })
    for (const line of [
      'user add root:secret',
      'user add pfs:good',
      'role add members',
      'role grant-permission members --prefix=true readwrite parentfs/',
      'user grant-role pfs members',
      'user grant-role root root',
      'auth enable',
    ])
      await cluster.control(...line.split(' '))
    let logins = 0
    const password = async () => {
      logins++
      return 'good'
    }
    const host = follow(t, cluster.urls, { user: 'pfs', password })
    await host.sees(memberOf(1).id)
    const [first, beganMs] = [logins, performance.now()]
    await until(() => performance.now() - beganMs > 2_000, waitMs, 'the end of the login')
    // A lease is renewed without one, and a record is not put.
    host.registry.register({ ...memberOf(1), state: 'leaving' })
    await until(() => host.members().some(({ state }) => state === 'leaving'), waitMs, 'another record')
    t.ok(logins > first, 'it has logged in again')
    await cluster.control(
      'put',
      `parentfs/g/member/${memberOf(2).id}`,
      formatMember(memberOf(2)),
      '--user',
      'root:secret',
    )
    await host.sees(memberOf(2).id)
    t.equal(host.fewest(), 1)
    t.equal(host.registry.state.registeredAnew, 0, 'its lease was renewed')
  },
)

t.test('a certificate that ends while it is in use', { skip: noEtcd || noCertificates || noEndings }, async t => {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-etcd-end-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const place = (name: string) => {
    mkdirSync(join(directory, name))
    return join(directory, name)
  }
  const authority = makeCertificate(place('ca'), 'DNS:ca.example')
  const server = makeSignedCertificate(place('server'), authority, 'IP:127.0.0.1')
  const tls = { ca: authority.certificate, certificate: server.certificate, key: server.key }
  const cluster = await EtcdCluster.open(t, { count: 1, tls })
  const lifeMs = 10_000
  const own = place('own')
  const endMs = Date.now() + lifeMs
  const { certificate, key } = makeEndingCertificate(own, authority, lifeMs, 'DNS:host.example')
  const host = follow(t, cluster.urls, { ca: tls.ca, certificate, key })
  await host.sees(memberOf(1).id)
  await until(() => Date.now() > endMs + 1_000, waitMs, 'the end of the certificate')
  // Connections of before may live on: new ones are refused.
  await cluster.kill('e0')
  await host.is('away')
  await cluster.start()
  const { state } = host.registry
  t.equal(state.state, 'away', state.reason)
  await until(() => !/ECONNREFUSED/.test(host.registry.state.reason), waitMs, 'a refusal')
  t.equal(host.registry.state.state, 'away', host.registry.state.reason)
  t.equal(host.fewest(), 1, 'nobody was forgotten')
  makeSignedCertificate(own, authority, 'DNS:host.example')
  await host.is('connected')
  await host.sees(memberOf(1).id)
})

t.test('of calls that one server fails at once, none passes over the next server', async t => {
  const [gone, alsoGone] = [await freePort(), await freePort()]
  const there = await startScripted(t, () => ({ body: '{"header":{}}' }))
  const servers = [`http://127.0.0.1:${gone}`, `http://${there.host}`, `http://127.0.0.1:${alsoGone}`]
  const gateway = new EtcdGateway({ servers, ca: null, certificate: null, key: null, user: null, password: null })
  t.teardown(() => gateway.close())
  const ask = () => gateway.call('/v3/kv/range', {})
  await Promise.all([t.rejects(ask(), { code: 'origin-failed' }), t.rejects(ask(), { code: 'origin-failed' })])
  t.equal(gateway.generation, 1)
  t.same(await ask(), { header: {} })
})

t.test('a server at an IPv6 address is known by its certificate', { skip: noCertificates }, async t => {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-etcd-ipv6-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const { certificate: ca, key } = makeCertificate(directory, 'IP:::1')
  const server = createServer({ cert: readFileSync(ca), key: readFileSync(key) }, (_, response) => {
    response.end('{"header":{}}')
  })
  server.listen(0, '::1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const servers = [`https://[::1]:${(server.address() as AddressInfo).port}`]
  const gateway = new EtcdGateway({ servers, ca, certificate: null, key: null, user: null, password: null })
  t.teardown(() => gateway.close())
  t.same(await gateway.call('/v3/kv/range', {}), { header: {} })
})
