/**
 * Real librbd over the socket: a clone in a real cluster, read by librbd of a newer Ceph with its parent_cache plugin in
 * a chroot, while workers are killed. Each byte is compared. `make librbd-real` runs it.
 *
 *   node build/bench/librbd-real.js [--chroot build/librbd-real] [--seconds 40] [--kills 5] [--threads 4]
 *                                   [--kill worker|supervisor]
 *
 * Needs root, Ceph's packages, mmdebstrap and dist/; bench/librbd/build-plugin.sh makes the chroot. Exits 1 when the
 * client has seen an error or a wrong byte, died, or was never answered by path.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { CephTestCluster, noCeph } from '../test/fixtures/ceph/cluster.ts'
import { cannotMount, type Place, statusOf, stop } from '../test/fixtures/daemon.ts'
import { type Mounted, mounted, parentIn } from '../test/fixtures/librbd/mounts.ts'
import { run, start } from '../test/fixtures/run.ts'
import { until } from '../test/fixtures/until.ts'

const { values } = parseArgs({
  options: {
    chroot: { type: 'string', default: 'build/librbd-real' },
    seconds: { type: 'string', default: '40' },
    kills: { type: 'string', default: '5' },
    threads: { type: 'string', default: '4' },
    kill: { type: 'string', default: 'worker' },
  },
})
const chroot = resolve(values.chroot)
/** Packages, sources of 148 MB, and five files to compile. */
const buildMsMax = 3_600_000

interface Seen {
  readonly reads: number
  readonly wrong: number
  readonly errors: number
  readonly opens: number
}

for (const why of [noCeph, cannotMount]) if (why !== false) throw new Error(why)
const endings: (() => unknown)[] = []
try {
  process.exitCode = await main({ teardown: end => void endings.push(end) })
} finally {
  for (const end of endings.reverse()) await end()
}

async function main(t: { teardown(end: () => unknown): void }): Promise<number> {
  const built = await start('sh', ['bench/librbd/build-plugin.sh', chroot], { msMax: buildMsMax }).ended
  if (built.code !== 0) throw new Error(`no plugin: ${built.stdout}${built.stderr}`)
  const cluster = await CephTestCluster.start(t)
  const parent = await parentIn(cluster, 'golden')
  await cluster.tool('rbd', 'snap', 'protect', 'rbd/golden@v1')
  await cluster.tool('rbd', 'clone', 'rbd/golden@v1', 'rbd/clone')
  const at = await mounted(t, cluster, parent, placeIn(t))
  const client = startReal(at, cluster, parent.raw)
  let isOver = false
  void client.ended.then(() => {
    isOver = true
  })
  await until(async () => isOver || (await answersByPath(at)) > 100, 60_000, 'answers by path')
  const killed = isOver ? 0 : await kill(at, () => isOver)
  const { code, signal, stdout, stderr } = await client.ended
  const { librbd } = await statusOf(at.where).catch(() => ({ librbd: null }))
  if (values.kill === 'worker') await stop(at.daemon)
  const seen = code === 0 ? (JSON.parse(stdout.toString()) as Seen) : null
  const told = { version: await version(), killed, kind: values.kill, code, signal, ...seen, answers: librbd?.answers }
  console.log(JSON.stringify(told, null, 2))
  if (stderr !== '') console.error(stderr.slice(-4000))
  return seen !== null && seen.wrong === 0 && seen.errors === 0 && seen.reads > 0 ? 0 : 1
}

/** Directories that end with the run. */
function placeIn(t: { teardown(end: () => unknown): void }): Place {
  const top = mkdtempSync(join(tmpdir(), 'parentfs-librbd-real-'))
  t.teardown(() => rmSync(top, { recursive: true, force: true }))
  const [mountpoint, originDirectory] = [join(top, 'mnt'), join(top, 'none')]
  mkdirSync(mountpoint)
  return { top, mountpoint, originDirectory, origin: 'rbd://rbd/', cacheDirectory: join(top, 'cache') }
}

/** In a mount namespace of its own: what the client sees at the same paths as here ends with it. */
function startReal({ where, client }: Mounted, cluster: CephTestCluster, raw: string) {
  const script = join(import.meta.dirname, '../../bench/librbd/real-client.py')
  const arguments_ = [cluster.configuration, client.socket, 'rbd', 'clone', raw, values.seconds, values.threads]
  const shared = [where.top, cluster.directory].map(path => `mkdir -p "$0${path}"; mount --rbind ${path} "$0${path}"`)
  const inside = [
    ...shared,
    'mount -t proc proc "$0/proc"',
    'mount --bind /dev "$0/dev"',
    'exec chroot "$0" python3 - "$@"',
  ]
  const msMax = Number(values.seconds) * 1000 + 120_000
  return start('unshare', ['-m', 'sh', '-ec', `${inside.join('; ')} < ${script}`, chroot, ...arguments_], { msMax })
}

async function answersByPath({ where }: Mounted): Promise<number> {
  const { librbd } = await statusOf(where)
  return (librbd?.answers.resident ?? 0) + (librbd?.answers.partial ?? 0)
}

/** @returns the number of processes that were killed */
async function kill({ where, daemon }: Mounted, isOver: () => boolean): Promise<number> {
  if (values.kill === 'supervisor') {
    process.kill(daemon.supervisorPid, 'SIGKILL')
    return 1
  }
  let killed = 0
  for (; killed < Number(values.kills) && !isOver(); killed++) {
    const { pid, takeovers } = await statusOf(where)
    process.kill(pid, 'SIGKILL')
    const hasFollowed = async () => (await statusOf(where).catch(() => null))?.takeovers.count === takeovers.count + 1
    await until(hasFollowed, 60_000, 'another worker')
  }
  return killed
}

async function version(): Promise<string> {
  if (!existsSync(chroot)) return 'none'
  return (await run('chroot', chroot, 'rbd', '--version')).toString().trim()
}
