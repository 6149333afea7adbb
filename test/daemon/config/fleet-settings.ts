/** Settings of the fleet: what is said, and what may not be. */
import t from 'tap'
import { configure, judge } from '../../../src/daemon/config/configuration.ts'
import { addressOf } from '../../../src/daemon/config/fleet-settings.ts'
import { fleetMembersMax } from '../../../src/daemon/config/limits.ts'

const origin = { url: 'http://host/' }
const complaintsOf = (fleet: unknown) =>
  (judge({ origin, fleet }).complaints ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
const tls = { ca: '/ca.pem', certificate: '/host.pem', key: '/host.key' }

t.test('without settings nothing is served and nobody is asked', async t => {
  const { fleet } = configure({ document: { origin }, mountpoint: '/m' }, { uid: 0, gid: 0, home: '/root' })
  t.match(fleet, { group: null, listen: null, patience: 100, share: 0.25, hedgeShare: 0.05, prefer: 'sooner' })
})

t.test('a whole block is taken', async t => {
  const registry = { etcd: ['https://10.0.0.1:2379'], prefix: 'parentfs', user: 'pfs', password: { file: '/p' } }
  const fleet = { group: 'az1', listen: '10.0.0.5:7447', rack: 'r1', serveRate: '100MiB/s', share: '10%' }
  t.same(complaintsOf({ ...fleet, registry, tls }), [])
  t.same(complaintsOf({ ...fleet, registry: { members: ['https://10.0.0.6:7447'] }, tls, register: 'glance' }), [])
  t.same(complaintsOf({ ...fleet, registry: { rados: { pool: 'images' } }, tls, url: 'https://host:7447' }), [])
})

t.test('nothing is served to strangers, and nothing without TLS beyond loopback, unless it is said', async t => {
  const token = { file: '/token' }
  t.match(complaintsOf({ listen: '10.0.0.5:7447', token }), [/without TLS/])
  t.match(complaintsOf({ listen: '0.0.0.0:7447', token }), [/without TLS/])
  t.match(complaintsOf({ listen: '127.0.0.1:7447' }), [/to strangers/])
  t.match(complaintsOf({ listen: '10.0.0.5:7447', tls: { ...tls, ca: null } }), [/to strangers/])
  t.same(complaintsOf({ listen: '127.0.0.1:7447', token }), [])
  t.same(complaintsOf({ listen: '[::1]:7447', token }), [])
  t.same(complaintsOf({ listen: '10.0.0.5:7447', tls }), [])
  t.same(complaintsOf({ listen: '10.0.0.5:7447', insecure: true }), [])
})

t.test('what does not go together is named', async t => {
  t.match(complaintsOf({ tls: { certificate: '/c' } }), [/^fleet\.tls: certificate and key/])
  t.match(complaintsOf({ tls: { ca: '/c' } }), [/^fleet\.tls\.ca: /])
  t.match(complaintsOf({ registry: { user: 'a' } }), [/^fleet\.registry\.user: /])
  t.match(complaintsOf({ registry: { dns: 'a.b', members: ['https://h'] } }), [/^fleet\.registry: .* one of them/])
  t.match(complaintsOf({ token: 'secret' }), [/a secret is not written here/])
  for (const wrong of ['x', 'host:1', '1.2.3.4', '1.2.3.4:0', '1.2.3.4:65536', '[::1]', ':7447', 7])
    t.equal(complaintsOf({ listen: wrong }).length, 1, String(wrong))
  const members = Array.from({ length: fleetMembersMax + 1 }, (_, k) => `https://h${k}`)
  t.match(complaintsOf({ registry: { members } }), [/at most 1000/])
  t.same(complaintsOf({ registry: { members: members.slice(1) } }), [])
})

t.test('addresses are numeric', async t => {
  t.same(addressOf('10.0.0.5:7447'), { host: '10.0.0.5', port: 7447 })
  t.same(addressOf('[fe80::1]:1'), { host: 'fe80::1', port: 1 })
  for (const text of ['::1:80', '[10.0.0.5:1', '999.0.0.1:1', '10.0.0.5:99999']) t.equal(addressOf(text), null, text)
})
