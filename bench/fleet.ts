/**
 * `node build/bench/fleet.js [--hosts 3] [--rounds 1] [--only none,ring,varnish,squid,fleet,relief]
 * [--learned]`: hosts that boot from one parent at once, each a real mount in a network namespace, and an origin 10 ms away whose link has 100 MiB/s for all of them.
 *
 * Side by side: no sharing, a ring of nginx caches, Varnish and Squid before the origin, a group, and a group that spares
 * the origin in any case. For each: all hosts at once from empty caches, then one more host alone. The recorded boot is played by a process a host, and
 * each byte compared. With `--learned` the others leave their boot profile with the group before that one. Everything shares the processors of this machine. Needs root, nginx,
 * varnish and squid.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { requestFleet, requestProfile } from '../src/admin/admin-client.ts'
import { socketPath, trustedRuntimeDirectory } from '../src/admin/socket-path.ts'
import { HostNetwork, type NetworkHost } from '../test/fixtures/host-network.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { until } from '../test/fixtures/until.ts'
import { read } from './compare/reading.ts'
import { Teardown } from './compare/teardown.ts'
import { cpuSecondsOf, type MountedHost, mountHost, servingPort } from './fleet/hosts.ts'
import { type CachingProxy, startSquid, startVarnish } from './fleet/proxies.ts'
import { startRingHost } from './fleet/ring.ts'
import { readReplay, writeTouched } from './replay/trace.ts'
import { describeMachine } from './report/machine.ts'
import { spread } from './report/ratios.ts'

const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '1' },
    learned: { type: 'boolean', default: false },
    only: { type: 'string', default: 'none,ring,varnish,squid,fleet,relief' },
    trace: { type: 'string', default: 'bench/traces/debian-12-ext4.txt.gz' },
  },
})
const MiB = 2 ** 20
/** A ring was slower than no sharing by two times; more means that it hangs. */
const bootMsMax = 150_000
const pushMsMax = 60_000

interface Boot {
  /** Of the slowest host. */
  readonly seconds: number
  readonly originBytes: number
  readonly longestMs: number
  readonly cpuSeconds: number
  /** Bytes of the origin that a group asked for, by reason. */
  readonly reasons: Readonly<Record<string, number>>
}

/** Prepares what a host reads in place of the origin, and the settings of its group. */
type Sharing = (t: Teardown, world: World, at: NetworkHost, group: readonly NetworkHost[]) => Promise<Shared>

interface Shared {
  readonly originUrl: string
  readonly fleet: string
  readonly pids: readonly number[]
}

interface World {
  readonly home: string
  readonly images: string
  readonly origin: HttpOriginServer
  /** The proxy of all hosts: started for the first that asks, on a host of its own. */
  readonly proxy: (start: (at: NetworkHost) => Promise<CachingProxy>) => Promise<CachingProxy>
}

/** A member of a static list, in plain HTTP as everything here is. */
const member =
  (more: string): Sharing =>
  async (_, { origin }, at, group) => {
    const urls = [...new Set([...group, at])].map(({ address }) => `"http://${address}:${servingPort}"`)
    const settings = `group: g, listen: "${at.address}:${servingPort}", insecure: true, registry: { members: [${urls}] }`
    return { originUrl: origin.url, fleet: `{ ${settings}${more} }`, pids: [] }
  }

/** All hosts read one proxy. */
const behind =
  (start: (at: NetworkHost, originUrl: string) => Promise<CachingProxy>): Sharing =>
  async (_, { origin, proxy }) => {
    const { url, pid } = await proxy(at => start(at, origin.url))
    return { originUrl: url, fleet: '', pids: [pid] }
  }

const sharings: Readonly<Record<string, { readonly what: string; readonly share: Sharing }>> = {
  none: { what: 'no sharing', share: async (_, { origin }) => ({ originUrl: origin.url, fleet: '', pids: [] }) },
  ring: {
    what: 'nginx ring',
    share: async (t, { images, origin }, at, ring) => {
      const server = await startRingHost({ at, originUrl: origin.url, ring, directory: images })
      t.teardown(() => server.close())
      return { originUrl: server.url, fleet: '', pids: [server.pid] }
    },
  },
  varnish: { what: 'Varnish, whole images', share: behind(startVarnish) },
  squid: { what: 'Squid, ranges passed on', share: behind(startSquid) },
  fleet: { what: 'group', share: member('') },
  relief: {
    what: 'group, `prefer: origin-relief`, `patience: 1s`',
    share: member(', prefer: origin-relief, patience: 1s'),
  },
}

const { processors, processor, kernel, load } = await describeMachine('')
console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}`)
const home = await mkdtemp(join(tmpdir(), 'parentfs-fleet-'))
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void rm(home, { recursive: true, force: true }).finally(() => process.exit(130)))
try {
  const images = join(home, 'images')
  await mkdir(images)
  await writeTouched(join(images, 'boot.raw'), await readReplay(values.trace))
  console.log(
    '| sharing | hosts | slowest, s | origin, MB | longest read, ms | processor seconds | MB by reason |\n|---|---|---|---|---|---|---|',
  )
  for (const name of values.only.split(',')) await measure(images, sharings[name]!)
} finally {
  await rm(home, { recursive: true, force: true })
}

async function measure(images: string, { what, share }: (typeof sharings)[string]): Promise<void> {
  const rows = new Map<string, Boot[]>()
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [row, boot] of await bootGroup(images, share)) rows.set(row, [...(rows.get(row) ?? []), boot])
  }
  for (const [row, boots] of rows) {
    const of = (part: Exclude<keyof Boot, 'reasons'>, scale = 1) => spread(boots.map(boot => boot[part] * scale))
    const reasons = boots.map(boot => Object.entries(boot.reasons).filter(([, bytes]) => bytes > 0))
    const said = reasons.map(each => each.map(([reason, bytes]) => `${reason} ${(bytes * 1e-6).toFixed(0)}`).join(', '))
    const figures = [of('seconds'), of('originBytes', 1e-6), of('longestMs'), of('cpuSeconds'), said.join('; ')]
    console.log(`| ${what} | ${row} | ${figures.join(' | ')} |`)
  }
}

async function bootGroup(images: string, share: Sharing): Promise<[string, Boot][]> {
  const t = new Teardown()
  const own = await mkdtemp(join(home, 'round-'))
  t.teardown(() => rm(own, { recursive: true, force: true }))
  try {
    const network = HostNetwork.open(t)
    const { within, address } = network.host('origin')
    const options = { directory: images, delayMs: 10, bytesPerSecond: 100 * MiB, address }
    const origin = await spawnHttpOrigin(options, within)
    t.teardown(() => origin.close())
    let started: Promise<CachingProxy> | null = null
    const proxy: World['proxy'] = start => (started ??= startedIn(t, () => start(network.host('proxy'))))
    const world = { home: own, images, origin, proxy }
    const group = Array.from({ length: Number(values.hosts) }, (_, k) => network.host(`h${k + 1}`))
    const hosts = await prepared(t, world, share, group, group)
    const together = await boot(world, hosts, hosts)
    if (values.learned) for (const { mountpoint } of hosts) await learned(mountpoint)
    const [late] = await prepared(t, world, share, [network.host('late')], group)
    const alone = await boot(world, [late!], [...hosts, late!])
    return [
      [`${hosts.length} at once`, together],
      [values.learned ? 'one more, learned' : 'one more', alone],
    ]
  } finally {
    await t.end()
  }
}

/** A proxy that ends with the round. */
async function startedIn(t: Teardown, start: () => Promise<CachingProxy>): Promise<CachingProxy> {
  const proxy = await start()
  t.teardown(() => proxy.close())
  return proxy
}

/** Its recording ends now, and is left with the group. */
async function learned(mountpoint: string): Promise<void> {
  const socket = socketPath(mountpoint, trustedRuntimeDirectory())
  await requestProfile(socket, 'boot.raw', true)
  const isPushed = async () => ((await requestFleet(socket))?.fleet?.profiles.pushed ?? 1) > 0
  await until(isPushed, pushMsMax, 'the profile is left with the group')
}

type PreparedHost = MountedHost & { readonly allPids: readonly number[] }

/** What they share stands before the first of them mounts. */
async function prepared(
  t: Teardown,
  world: World,
  share: Sharing,
  hosts: readonly NetworkHost[],
  group: readonly NetworkHost[],
): Promise<PreparedHost[]> {
  const shared: Shared[] = []
  for (const at of hosts) shared.push(await share(t, world, at, group))
  const mounted: PreparedHost[] = []
  for (const [k, { originUrl, fleet, pids }] of shared.entries()) {
    const host = await mountHost(t, { home: world.home, at: hosts[k]!, originUrl, fleet })
    mounted.push({ ...host, allPids: [...host.pids, ...pids] })
  }
  return mounted
}

/** `readers` boot at once. @param all whose processes' time counts */
async function boot(
  { origin, images }: World,
  readers: readonly PreparedHost[],
  all: readonly PreparedHost[],
): Promise<Boot> {
  const reasonsBefore = await reasonsOf(all)
  const pids = all.flatMap(({ allPids }) => allPids)
  await origin.reset()
  const before = cpuSecondsOf(pids)
  const played = await Promise.all(
    readers.map(({ mountpoint }) => {
      const work = { kind: 'replay', trace: values.trace } as const
      return read({ path: join(mountpoint, 'boot.raw'), imagePath: join(images, 'boot.raw'), work }, bootMsMax)
    }),
  )
  const wrong = played.map(each => each.wrong).join(', ')
  if (played.some(each => each.wrong > 0)) throw new Error(`reads were wrong, or failed: ${wrong}`)
  const reasonsAfter = await reasonsOf(all)
  const reasons = Object.entries(reasonsAfter).map(([reason, bytes]) => [reason, bytes - (reasonsBefore[reason] ?? 0)])
  return {
    seconds: Math.max(...played.map(({ seconds }) => seconds)),
    originBytes: (await origin.counters()).bytes,
    longestMs: Math.max(...played.flatMap(({ latenciesMs }) => latenciesMs)),
    cpuSeconds: cpuSecondsOf(pids) - before,
    reasons: Object.fromEntries(reasons),
  }
}

/** Of all hosts together; empty where they are no group. */
async function reasonsOf(hosts: readonly PreparedHost[]): Promise<Record<string, number>> {
  const sum: Record<string, number> = {}
  for (const { mountpoint } of hosts) {
    const answer = await requestFleet(socketPath(mountpoint, trustedRuntimeDirectory()))
    const { originBytes = {}, native = null } = answer?.fleet ?? {}
    const all = native === null ? originBytes : { ...originBytes, natively: native.bytes }
    for (const [reason, bytes] of Object.entries<number>(all)) sum[reason] = (sum[reason] ?? 0) + bytes
  }
  return sum
}
