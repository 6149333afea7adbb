/** Hosts of a group, each a mount with its own port: second hosts, a worker that dies, a host that joins and leaves. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { requestFleet } from '../../src/admin/admin-client.ts'
import { socketPath, trustedRuntimeDirectory } from '../../src/admin/socket-path.ts'
import type { MemberStatus } from '../../src/fleet/asking/fleet-status.ts'
import type { ImageLocation } from '../../src/origin/locations/image-location.ts'
import { type Certificate, makeCertificate, makeSignedCertificate, noCertificates } from '../fixtures/certificate.ts'
import { ColdSweep } from '../fixtures/cold-sweep.ts'
import { cannotMount, isGone, type Place, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { EtcdCluster, noEtcd } from '../fixtures/etcd.ts'
import { freePort } from '../fixtures/free-port.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const skip = cannotMount || noCertificates || noEtcd
const MiB = 1024 ** 2
const sample = { seed: 41, sizeBytes: 24 * MiB + 4_097, dataShare: 1 }
const whole = sampleBytes(sample, 0, sample.sizeBytes)

/** The group's surroundings: etcd, an origin, an authority. */
class Surroundings {
  readonly cluster: EtcdCluster
  readonly origin: HttpOriginServer
  readonly #directory: string
  readonly #authority: Certificate

  private constructor(cluster: EtcdCluster, origin: HttpOriginServer, directory: string, authority: Certificate) {
    this.cluster = cluster
    this.origin = origin
    this.#directory = directory
    this.#authority = authority
  }

  static async open(t: Test): Promise<Surroundings> {
    const directory = mkdtempSync(join(tmpdir(), 'parentfs-fleet-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    for (const name of ['images', 'authority']) mkdirSync(join(directory, name))
    for (const name of ['a.raw', 'b.raw', 'c.raw']) writeSample(join(directory, 'images', name), sample)
    const authority = makeCertificate(join(directory, 'authority'), 'DNS:group.example')
    const origin = await spawnHttpOrigin({ directory: join(directory, 'images'), delayMs: 10 })
    t.teardown(() => origin.close())
    return new Surroundings(await EtcdCluster.open(t), origin, directory, authority)
  }

  /** Bytes of images that the origin has sent since the last call. */
  async originBytes(): Promise<number> {
    const { bytes } = await this.origin.counters()
    return bytes
  }

  async host(t: Test, k: number): Promise<Host> {
    const where = { ...place(t), origin: this.origin.url }
    const address = `127.0.0.${k}:${await freePort()}`
    const own = join(this.#directory, `host${k}`)
    mkdirSync(own)
    const { certificate, key } = makeSignedCertificate(own, this.#authority, `IP:127.0.0.${k}`)
    const tls = `tls: { ca: ${this.#authority.certificate}, certificate: ${certificate}, key: ${key} }`
    const registry = `registry: { etcd: [${this.cluster.urls.join(', ')}] }`
    // Bytes are counted: a busy machine is waited for, and nothing is asked for twice.
    const asks = 'prefer: origin-relief, patience: 2s, hedgeShare: 0%'
    const fleet = `fleet: { group: g, listen: "${address}", ${asks}, ${registry}, ${tls} }`
    const cache = `cache: { directory: ${where.cacheDirectory}, capacity: 150MiB, readAhead: 0 }`
    const log = `log: { level: debug, file: ${join(where.top, 'log')} }`
    const file = join(where.top, 'p.yaml')
    writeFileSync(
      file,
      [`origin: { url: "${where.origin}" }`, `mountpoint: ${where.mountpoint}`, cache, log, fleet, ''].join('\n'),
    )
    const host = new Host(where, address, file)
    await host.mount(t)
    return host
  }
}

class Host {
  readonly where: Place
  readonly id: string
  readonly #file: string

  constructor(where: Place, id: string, file: string) {
    this.where = where
    this.id = id
    this.#file = file
  }

  async mount(t: Test): Promise<void> {
    t.match(await parentfs('mount', '--background', '--config', this.#file), { code: 0, stderr: '' })
  }

  async unmount(t: Test): Promise<void> {
    const { pid, supervisorPid } = await statusOf(this.where)
    t.match(await parentfs('unmount', this.where.mountpoint), { code: 0 })
    t.ok(await isGone(this.where, pid, supervisorPid))
  }

  async fleet() {
    const answer = await requestFleet(socketPath(this.where.mountpoint, trustedRuntimeDirectory()))
    return answer!.fleet!
  }

  /** Resolves when it knows so many members. */
  async knows(count: number): Promise<void> {
    const listed = async () => (await this.fleet()).members.filter(({ state }) => state === 'up').length
    await until(async () => (await listed()) === count, patienceMs, `${this.id} knows ${count} members`)
  }

  /** Is the image as it should be? Read by another process: the mount is never waited for by this one. */
  async reads(name: string): Promise<boolean> {
    const path = join(this.where.mountpoint, name)
    const said = await run('sh', '-c', `dd if=${path} bs=1M iflag=direct status=none | sha256sum`)
    return said.toString().split(' ')[0] === digest
  }
}

/** Bytes that hosts have sent to another one, by their own counts. */
async function sentTo({ id }: Host, hosts: readonly Host[]): Promise<number> {
  const groups = await Promise.all(hosts.map(host => host.fleet()))
  return groups.reduce((sum, { members }) => sum + (members.find(member => member.id === id)?.sentBytes ?? 0), 0)
}

function receivedBytes(members: readonly MemberStatus[]): number {
  return members.reduce((sum, { bytes }) => sum + bytes, 0)
}

async function promotesOnce(t: Test, group: Surroundings, hosts: readonly Host[]): Promise<void> {
  const from = await group.originBytes()
  const path = join(hosts[0]!.where.mountpoint, 'c.raw')
  const { code, stdout } = await parentfs('promote', '--group', path)
  t.equal(code, 0)
  for (const { id } of hosts) t.match(stdout.toString(), new RegExp(`${id} .* complete`))
  const bytes = (await group.originBytes()) - from
  t.ok(bytes <= 1.05 * sample.sizeBytes, `${(bytes / sample.sizeBytes).toFixed(3)} of the unique bytes`)
  for (const { where } of hosts) {
    t.equal((await statusOf(where)).images.find(({ name }) => name === 'c.raw')?.complete, true)
  }
  t.match(await parentfs('promote', '--group', '--range', '0-1MiB', path), { code: 1, stderr: /whole images/ })
}

/** All hosts hold all of it by then. */
async function showsMembers(t: Test, hosts: readonly Host[]): Promise<void> {
  const [a, ...others] = hosts
  const path = join(a!.where.mountpoint, 'c.raw')
  const { code, stdout } = await parentfs('locations', path, '--json')
  t.equal(code, 0)
  const [origin, ...members] = JSON.parse(stdout.toString()) as ImageLocation[]
  t.match(origin, { kind: 'origin', url: a!.where.origin, latencyMs: Number, heldBytes: null })
  const isHost = ({ url }: ImageLocation) => others.some(({ id }) => url.startsWith(`https://${id}/v1/image/`))
  t.equal(members.filter(isHost).length, others.length)
  for (const each of members.filter(isHost))
    t.match(each, { kind: 'member', state: /good|away/, heldBytes: sample.sizeBytes, latencyMs: Number })
  const verified = await parentfs('verify', '--locations', path)
  for (const { id } of others) t.match(verified.stdout.toString(), new RegExp(`${id}/v1/image/\\w+: the same, 24 MiB`))
}

const digest = await (async () => {
  const { createHash } = await import('node:crypto')
  return createHash('sha256').update(whole).digest('hex')
})()

t.test('a group of three, and a fourth', { skip, timeout: 400_000 }, async t => {
  const group = await Surroundings.open(t)
  const hosts = await Promise.all([2, 3, 4].map(k => group.host(t, k)))
  const [a, b, c] = hosts as [Host, Host, Host]
  await Promise.all(hosts.map(host => host.knows(3)))
  const before = await group.originBytes()

  await t.test('three cold hosts take each byte from the origin once', async t => {
    t.same(await Promise.all(hosts.map(host => host.reads('a.raw'))), [true, true, true])
    const bytes = (await group.originBytes()) - before
    t.ok(bytes <= 1.05 * sample.sizeBytes, `${(bytes / sample.sizeBytes).toFixed(3)} of the unique bytes`)
    t.ok(bytes >= sample.sizeBytes)
  })

  await t.test('a host that joins takes nothing from the origin', async t => {
    const from = await group.originBytes()
    const d = await group.host(t, 5)
    await d.knows(4)
    t.ok(await d.reads('a.raw'))
    // All hosts compare a block now and then with the origin.
    const bytes = (await group.originBytes()) - from
    t.ok(bytes <= sample.sizeBytes / 16, `${bytes} bytes of samples`)
    const { members, offload } = await d.fleet()
    t.equal(offload, 1)
    t.ok(members.filter(({ bytes }) => bytes > 0).length >= 2, 'from several members')
    // A sender counts what has left it, a moment later. Bytes that broke off on the way only it has counted.
    const isCounted = async () => (await sentTo(d, hosts)) >= receivedBytes(members)
    await until(isCounted, patienceMs, 'bytes from each are bytes to it')
    if (members.every(({ failures }) => failures === 0)) t.equal(await sentTo(d, hosts), receivedBytes(members))
    else t.comment(`too slow to count by: ${JSON.stringify(members)}`)
    t.match(await parentfs('fleet', d.where.mountpoint), { code: 0, stdout: /offload 100\.0 %/ })
    t.match(await parentfs('explain', join(d.where.mountpoint, 'a.raw'), '0'), {
      code: 0,
      stdout: /unit 0 .*came from 127/s,
    })
    t.match(await parentfs('fleet', 'leave', d.where.mountpoint), { code: 0 })
    await a.knows(3)
    await d.unmount(t)
  })

  await t.test('a promotion by the group takes each byte from the origin once', t => promotesOnce(t, group, hosts))

  await t.test('each member that holds the image is a location of it', t => showsMembers(t, hosts))

  await t.test('a worker is killed in the middle of reads: the next one is a member as before', async t => {
    const { pid } = await statusOf(c.where)
    const sweeps = await Promise.all(
      [a, b].map(({ where: { mountpoint } }, seed) =>
        ColdSweep.begin(t, { mountpoint, name: 'b.raw', seed, expected: whole }),
      ),
    )
    await sweeps[0]!.reached(0.2)
    process.kill(pid, 'SIGKILL')
    for (const sweep of sweeps) t.same((await sweep.over()).wrong, [], 'no error, no wrong byte')
    t.ok(await c.reads('b.raw'), 'the next worker')
    t.not((await statusOf(c.where)).pid, pid)
  })

  await t.test('without the registry the group goes on as it is, also over a restart', async t => {
    for (const name of group.cluster.names) await group.cluster.kill(name)
    await b.unmount(t)
    await b.mount(t)
    const { members, registry } = await b.fleet()
    t.ok(members.length >= 3, `${members.length} members are remembered`)
    t.not(registry.state, 'connected')
    t.ok(await b.reads('a.raw'))
  })
  for (const host of hosts) await host.unmount(t)
})
