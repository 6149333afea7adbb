/**
 * Clients of librbd on a mount, against a real cluster: what they read by path is right, cold, warm, and over deaths of
 * workers.
 */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CephTestCluster, noCeph } from '../fixtures/ceph/cluster.ts'
import { cannotMount, type Daemon, mountDaemon, type Place, place, statusOf, stop } from '../fixtures/daemon.ts'
import { writeSample } from '../fixtures/images.ts'
import { type ClientPlace, clientProgram, clientReads, startClient } from '../fixtures/librbd/clients.ts'
import { until } from '../fixtures/until.ts'

const skip = noCeph !== false ? noCeph : cannotMount

if (skip !== false) {
  t.test('clients of librbd', { skip }, async () => {})
} else {
  const cluster = await CephTestCluster.start(t)
  await clientProgram()
  const golden = await parentIn(cluster, 'golden')
  t.test('cold, warm, and after a restart that fetches nothing again', async t => await warmth(t, cluster, golden))
  t.test('deaths of workers under load are not seen', async t => await deaths(t, cluster, golden))
  t.test('an unmount under load lets clients go', async t => await orderlyEnd(t, cluster, golden))
}

/** A snapshot with 64 MiB of data and holes. */
async function parentIn(cluster: CephTestCluster, image: string): Promise<Omit<ClientPlace, 'socket'>> {
  const raw = join(cluster.directory, `${image}.raw`)
  writeSample(raw, { seed: 21, sizeBytes: 64 * 2 ** 20, dataShare: 0.8 })
  await cluster.tool('rbd', 'import', '--no-progress', raw, `rbd/${image}`)
  await cluster.tool('rbd', 'snap', 'create', '--no-progress', `rbd/${image}@v1`)
  return { configuration: cluster.configuration, pool: 'rbd', image, snapshot: 'v1', raw }
}

interface Mounted {
  readonly where: Place
  readonly daemon: Daemon
  readonly client: ClientPlace
}

async function mounted(
  t: Test,
  cluster: CephTestCluster,
  parent: Omit<ClientPlace, 'socket'>,
  where: Place = { ...place(t), origin: 'rbd://rbd/' },
): Promise<Mounted> {
  const socket = join(where.top, 'librbd.sock')
  const own = ['--ceph-conf', cluster.configuration, '--keyring', join(cluster.directory, 'client.admin.keyring')]
  const daemon = await mountDaemon(t, where, ...own, '--librbd-socket', socket)
  return { where, daemon, client: { ...parent, socket } }
}

/** The first ask of a parent is answered "read it yourself"; afterwards it is known. */
async function untilKnown({ client }: Mounted): Promise<void> {
  await clientReads(client, { reads: 1 })
  await until(async () => (await clientReads(client, { reads: 4, object: 0 })).path > 0, 30_000, 'the parent is known')
}

async function warmth(t: Test, cluster: CephTestCluster, parent: Omit<ClientPlace, 'socket'>): Promise<void> {
  const first = await mounted(t, cluster, parent)
  await untilKnown(first)
  const cold = await clientReads(first.client, { reads: 16, seed: 3 })
  t.ok(cold.rados > 0, 'objects of which nothing is held are left to librbd')
  const whole = { reads: 10_000, bytes: 65536, order: 'sequential' }
  await clientReads(first.client, { ...whole, depth: 4 })
  await until(
    async () => {
      const seen = await clientReads(first.client, { ...whole, depth: 4 })
      const { promotion } = await statusOf(first.where)
      return seen.rados === 0 && promotion.queuedBytes === 0
    },
    60_000,
    'all of it is answered by path',
  )
  const { bytes } = (await statusOf(first.where)).origin
  const warm = await clientReads(first.client, { reads: 500, depth: 8, seed: 5 })
  t.equal(warm.path, 500)
  t.equal((await statusOf(first.where)).origin.bytes, bytes, 'nothing is fetched')
  t.equal(await stop(first.daemon), 0)

  const second = await mounted(t, cluster, parent, first.where)
  await untilKnown(second)
  const again = await clientReads(second.client, { reads: 500, depth: 8, seed: 5 })
  t.equal(again.path, 500, 'what is held is answered by path at once')
  t.ok((await statusOf(second.where)).origin.bytes < 2 ** 20, 'and not fetched again')
  t.equal(await stop(second.daemon), 0)
}

/** More of them by the environment. */
const kills = Number(process.env.KILLS ?? 5)

async function deaths(t: Test, cluster: CephTestCluster, parent: Omit<ClientPlace, 'socket'>): Promise<void> {
  const at = await mounted(t, cluster, parent)
  await untilKnown(at)
  const seconds = kills * 4
  const client = await startClient(at.client, { seconds, depth: 8 })
  let isOver = false
  void client.ended.then(() => {
    isOver = true
  })
  let killed = 0
  for (; killed < kills && !isOver; killed++) {
    const { pid, takeovers } = await statusOf(at.where)
    process.kill(pid, 'SIGKILL')
    const hasFollowed = async () =>
      (await statusOf(at.where).catch(() => null))?.takeovers.count === takeovers.count + 1
    await until(hasFollowed, 60_000, 'another worker')
  }
  const { code, stdout, stderr } = await client.ended
  t.equal(code, 0, stderr)
  const seen = JSON.parse(stdout.toString())
  t.match(seen, { wrong: 0, errors: 0, openFailed: 0, readFailed: 0, over: false }, `${killed} deaths`)
  t.ok(killed > 1, `${killed} deaths`)
  t.equal(await stop(at.daemon), 0)
}

async function orderlyEnd(t: Test, cluster: CephTestCluster, parent: Omit<ClientPlace, 'socket'>): Promise<void> {
  const at = await mounted(t, cluster, parent)
  await untilKnown(at)
  const client = await startClient(at.client, { seconds: 4, depth: 8 })
  await until(async () => (await clientReads(at.client, { reads: 64 })).path > 0, 30_000, 'reads by path')
  t.equal(await stop(at.daemon), 0)
  const { code, stdout, stderr } = await client.ended
  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout.toString()), { wrong: 0, errors: 0, openFailed: 0, readFailed: 0, over: true })
}
