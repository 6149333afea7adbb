/**
 * A group of real mounts in a network of its own: hosts that are cold at once, one that joins and leaves under checking
 * readers and fio, a split of the group, an origin that some cannot reach, and a host whose clock is an hour ahead.
 */
import { loadavg } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import type { SweepReport } from '../fixtures/cold-sweep.ts'
import { patienceMs, statusOf } from '../fixtures/daemon.ts'
import { readWithFio } from '../fixtures/fio.ts'
import { type FleetHost, FleetHosts, noFleetHosts, verifiedBytes, verifiedName } from '../fixtures/fleet-hosts.ts'
import { attempt, run } from '../fixtures/run.ts'
import { seed } from '../fixtures/seeded.ts'
import { missingProgram } from '../fixtures/server-processes.ts'
import { until } from '../fixtures/until.ts'

const skip = noFleetHosts || missingProgram(['faketime', 'fio'], 'faketime and fio')

/** Hosts of the group; more by HOSTS=8. */
const hostsMax = Number(process.env.HOSTS ?? 4)
const sizeBytes = 8 * 1024 ** 2
const hourMs = 3_600_000

/** Members are asked first, and busy machines are waited for, without second requests: these tests count bytes. */
const fleet = 'prefer: origin-relief, patience: 5s, hedgeShare: 0%'

/** Its clock of the day is an hour ahead, and no other one is. */
const hourAhead = ['env', 'DONT_FAKE_MONOTONIC=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1', 'faketime', '-m', '-f', '+1h']

const load = () => `load ${loadavg()[0]!.toFixed(1)}`

function judge(t: Test, reports: readonly SweepReport[]): void {
  t.same(
    reports.flatMap(({ wrong }) => wrong),
    [],
    'no error, no wrong byte',
  )
}

/** Reads that a host has made at the origin by itself; comparisons of blocks are left out. */
async function originReadsOf(host: FleetHost): Promise<number> {
  const { originReads } = await host.fleet()
  return Object.values(originReads).reduce((sum, reads) => sum + reads, 0)
}

t.test('hosts that are cold at once, join, leave and are parted', { skip, timeout: 120_000 * hostsMax }, async t => {
  const group = await FleetHosts.open(t, {
    sizeBytes,
    images: ['alone', 'cold', 'split', 'mended', 'relayed'],
    hasVerified: true,
  })
  const hosts: FleetHost[] = []
  for (let k = 1; k <= hostsMax; k++)
    hosts.push(await group.host(t, `h${k}`, { fleet, before: k === hostsMax ? hourAhead : [] }))
  await Promise.all(hosts.map(host => host.knows(hostsMax)))

  await t.test('a host whose clock is an hour ahead is a member as the others', async t => {
    const { since } = await group.recordOf(hosts.at(-1)!.id)
    t.ok(since - Date.now() > hourMs / 2, 'its clock is ahead')
    t.ok((await group.recordOf(hosts[0]!.id)).since <= Date.now())
    for (const host of hosts) await host.sees(hosts.at(-1)!, 'up')
  })

  await t.test('all are cold at once: each byte leaves the origin about once', t => coldAtOnce(t, group, hosts))
  await t.test('a host joins and leaves under readers, and takes nothing from the origin', t =>
    joinsAndLeaves(t, group, hosts),
  )
  await t.test('the group is split: both sides read on, and are one group again', t => splits(t, group, hosts))
  await t.test('hosts that cannot reach the origin read through members that can', t => isRelayed(t, group, hosts))
  for (const host of hosts) await host.unmount()
})

async function coldAtOnce(t: Test, group: FleetHosts, hosts: readonly FleetHost[]): Promise<void> {
  const alone = performance.now()
  judge(t, [await hosts[0]!.sweeps(t, 'alone')])
  const aloneMs = performance.now() - alone
  const before = await group.originBytes()
  const beganMs = performance.now()
  judge(t, await sweepsOf(t, hosts, 'cold'))
  const ms = performance.now() - beganMs
  const share = ((await group.originBytes()) - before) / sizeBytes
  t.comment(
    `${hostsMax} hosts: ${share.toFixed(3)} of the unique bytes, ${(ms / aloneMs).toFixed(2)} times one alone, ${load()}`,
  )
  t.ok(share <= 1.05, `${share.toFixed(3)} of the unique bytes`)
}

async function joinsAndLeaves(t: Test, group: FleetHosts, hosts: readonly FleetHost[]): Promise<void> {
  const { mountpoint } = hosts[0]!.where
  const images = new Map(['alone', 'cold'].map(name => [name, [group.bytes]]))
  const readers = new CheckingReaders({ mountpoint, images, count: 2, seed })
  t.teardown(() => readers.stop())
  // All but one hold it: that one is cold at each run, and former owners of the ninth's units have them.
  for (const { where } of hosts.slice(1)) {
    const path = join(where.mountpoint, verifiedName)
    await run('dd', `if=${path}`, 'of=/dev/null', 'bs=1M', 'iflag=direct', 'status=none')
  }
  const verified = FioRuns.begin(t, hosts[0]!)
  const ninth = await group.host(t, 'ninth', { fleet })
  await Promise.all([...hosts, ninth].map(host => host.knows(hostsMax + 1)))
  await verified.more()
  const beganMs = performance.now()
  judge(t, [await ninth.sweeps(t, 'cold')])
  t.comment(`second host: ${Math.round(performance.now() - beganMs)} ms, ${load()}`)
  t.equal(await originReadsOf(ninth), 0, 'nothing from the origin')
  t.match(await ninth.says('fleet', 'leave'), { code: 0 })
  for (const host of hosts) await host.sees(ninth, 'leaving')
  await verified.more()
  judge(t, [await ninth.sweeps(t, 'alone')])
  await ninth.unmount()
  await Promise.all(hosts.map(host => host.knows(hostsMax)))
  await verified.more()
  t.same(await verified.end(), [], 'fio has verified every block')
  const { reads, failed, wrongReads, errors, wrong, longestMs } = await readers.stop()
  t.comment(`${reads} reads, longest ${Math.round(longestMs)} ms, ${load()}`)
  t.same([failed, wrongReads, errors, wrong], [0, 0, [], []])
  t.ok(reads > 0)
}

/** fio over an image that carries its own proof, cold each time, one run after the other. */
class FioRuns {
  readonly #path: string
  readonly #host: FleetHost
  readonly #complaints: string[] = []
  #runs = 0
  #isOver = false
  #going: Promise<void> = Promise.resolve()

  private constructor(host: FleetHost) {
    this.#host = host
    this.#path = join(host.where.mountpoint, verifiedName)
  }

  static begin(t: Test, host: FleetHost): FioRuns {
    const runs = new FioRuns(host)
    t.teardown(() => runs.end())
    runs.#going = runs.#go()
    return runs
  }

  /** Resolves when a run that began after this call is over. */
  async more(): Promise<void> {
    const wanted = this.#runs + 2
    await until(() => this.#runs >= wanted, 2 * patienceMs, 'a run of fio')
  }

  /** The complaints. Idempotent. */
  async end(): Promise<readonly string[]> {
    this.#isOver = true
    await this.#going
    return this.#complaints
  }

  async #go(): Promise<void> {
    const way = { engine: 'libaio', direct: true, depth: 4, jobs: 1 } as const
    while (!this.#isOver) {
      const { code, error, stderr } = await readWithFio(this.#path, verifiedBytes, way)
      if (code !== 0 || error !== 0) this.#complaints.push(`${code} ${error} ${stderr}`)
      const evicted = await this.#host.says('evict', verifiedName, '-m')
      if (evicted.code !== 0) this.#complaints.push(String(evicted.stderr))
      this.#runs++
    }
  }
}

async function splits(t: Test, group: FleetHosts, hosts: readonly FleetHost[]): Promise<void> {
  const half = Math.floor(hostsMax / 2)
  const [e1, e2, e3] = group.etcdHosts
  const left = [...hosts.slice(0, half).map(({ at }) => at), e1!, e2!]
  const right = [...hosts.slice(half).map(({ at }) => at), e3!]
  for (const a of left) for (const b of right) group.network.part(a, b)
  const before = await group.originBytes()
  judge(t, await sweepsOf(t, hosts, 'split'))
  const share = ((await group.originBytes()) - before) / sizeBytes
  t.comment(`split in two: ${share.toFixed(2)} of the unique bytes, ${load()}`)
  for (const host of hosts) {
    const known = new Set((await host.fleet()).members.map(({ id }) => id))
    t.ok(
      hosts.every(({ id }) => known.has(id)),
      'nobody was forgotten',
    )
  }
  for (const host of [...left, ...right]) group.network.mend(host)
  for (const host of hosts) {
    await host.knows(hostsMax)
    await until(async () => (await host.fleet()).registry.state === 'connected', patienceMs, 'the registry')
  }
  judge(t, await sweepsOf(t, hosts, 'mended'))
}

async function isRelayed(t: Test, group: FleetHosts, hosts: readonly FleetHost[]): Promise<void> {
  const parted = hosts.slice(0, Math.floor(hostsMax / 2))
  // Its version is known to them: fleet-cut-off.ts has images that are not.
  for (const { where } of parted) await run('stat', join(where.mountpoint, 'relayed'))
  for (const { at } of parted) group.network.part(at, group.originHost)
  const reports = await sweepsOf(t, parted, 'relayed')
  judge(t, reports)
  const longestMs = Math.max(...reports.map(({ longestMs }) => longestMs))
  t.comment(`longest read ${Math.round(longestMs)} ms, ${load()}`)
  for (const { at } of parted) group.network.mend(at)
  let asked = 0
  for (const { where } of parted) {
    const isBack = async () => {
      // A name that nobody knows is looked up there.
      await attempt('stat', join(where.mountpoint, `no-${asked++}`))
      return (await statusOf(where)).origin.state === 'available'
    }
    await until(isBack, patienceMs, 'the origin is back')
  }
}

/** All hosts read an image at once, each in an order of its own. */
function sweepsOf(t: Test, hosts: readonly FleetHost[], name: string): Promise<SweepReport[]> {
  return Promise.all(hosts.map((host, k) => host.sweeps(t, name, seed + k)))
}
