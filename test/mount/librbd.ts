/**
 * Clients of librbd on a mount, against a real cluster: what they read by path is right, cold, warm, and over deaths of
 * workers.
 */
import t, { type Test } from 'tap'
import { CephTestCluster, noCeph } from '../fixtures/ceph/cluster.ts'
import { cannotMount, isGone, patienceMs, statusOf, stop } from '../fixtures/daemon.ts'
import { clientProgram, clientReads, startClient } from '../fixtures/librbd/clients.ts'
import { mounted, type Parent, parentIn, untilKnown } from '../fixtures/librbd/mounts.ts'
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
  t.test('a death of the supervisor under load lets clients go', async t => await supervisorDeath(t, cluster, golden))
  t.test('an unmount under load lets clients go', async t => await orderlyEnd(t, cluster, golden))
}

async function warmth(t: Test, cluster: CephTestCluster, parent: Parent): Promise<void> {
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
    patienceMs,
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
  const { origin, reads } = await statusOf(second.where)
  t.ok(origin.bytes < 2 ** 20, 'and not fetched again')
  t.ok(reads.hits > 100, 'hits of objects are hits')
  t.equal(await stop(second.daemon), 0)
}

/** More of them by the environment. */
const kills = Number(process.env.KILLS ?? 5)

async function deaths(t: Test, cluster: CephTestCluster, parent: Parent): Promise<void> {
  const at = await mounted(t, cluster, parent)
  await untilKnown(at)
  const seconds = kills * 4
  const client = await startClient(at.client, { seconds, depth: 8 })
  await until(async () => (await statusOf(at.where)).librbd?.connections === 1, patienceMs, 'its connection')
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
    await until(hasFollowed, patienceMs, 'another worker')
  }
  const { code, stdout, stderr } = await client.ended
  t.equal(code, 0, stderr)
  const seen = JSON.parse(stdout.toString())
  t.match(seen, { wrong: 0, errors: 0, openFailed: 0, readFailed: 0, over: false }, `${killed} deaths`)
  t.ok(killed > 1, `${killed} deaths`)
  t.equal(await stop(at.daemon), 0)
}

async function orderlyEnd(t: Test, cluster: CephTestCluster, parent: Parent): Promise<void> {
  const at = await mounted(t, cluster, parent)
  await untilKnown(at)
  const client = await startClient(at.client, { seconds: 60, over: 1, depth: 8 })
  await until(async () => (await statusOf(at.where)).librbd?.connections === 1, patienceMs, 'its connection')
  await until(async () => (await clientReads(at.client, { reads: 64 })).path > 0, patienceMs, 'reads by path')
  t.equal(await stop(at.daemon), 0)
  const { code, stdout, stderr } = await client.ended
  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout.toString()), { wrong: 0, errors: 0, openFailed: 0, readFailed: 0, over: true })
}

/** The worker hears of it, and lets clients go in the same order. Another mount serves them then. */
async function supervisorDeath(t: Test, cluster: CephTestCluster, parent: Parent): Promise<void> {
  const at = await mounted(t, cluster, parent)
  await untilKnown(at)
  const client = await startClient(at.client, { seconds: 60, over: 1, depth: 8 })
  await until(async () => (await statusOf(at.where)).librbd?.connections === 1, patienceMs, 'its connection')
  await until(async () => (await clientReads(at.client, { reads: 64 })).path > 0, patienceMs, 'reads by path')
  const { pid } = await statusOf(at.where)
  process.kill(at.daemon.supervisorPid, 'SIGKILL')
  const { code, stdout, stderr } = await client.ended
  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout.toString()), { wrong: 0, errors: 0, openFailed: 0, readFailed: 0, over: true })
  await until(async () => await isGone(at.where, pid), patienceMs, 'the worker has gone, and nothing is mounted')
  const next = await mounted(t, cluster, parent, at.where)
  await untilKnown(next)
  t.equal(await stop(next.daemon), 0, 'the stale socket is replaced')
}
