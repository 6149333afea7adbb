/**
 * Clients of librbd over deaths of worker and supervisor, one after the other and both at once, where a service manager
 * holds the mount: no connection ends, and no read fails.
 *
 * KILLS=n sets their number; SEED=n another sequence.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { mountsAt } from '../../src/daemon/mount/mount-table.ts'
import { CephTestCluster, noCeph } from '../fixtures/ceph/cluster.ts'
import { cannotMount, command, isRunning, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { clientProgram, clientReads, startEndlessClient } from '../fixtures/librbd/clients.ts'
import { configurationAt, type Parent, parentIn } from '../fixtures/librbd/mounts.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { type Service, startService } from '../fixtures/service-unit.ts'
import { until } from '../fixtures/until.ts'

const skip = noCeph !== false ? noCeph : cannotMount
const kills = Number(process.env.KILLS ?? 4)
const ways = ['worker', 'supervisor', 'worker, supervisor', 'supervisor, worker'] as const

/** FileDescriptorStoreMax: of the unit, and of those of earlier versions, which have room for the mount alone. */
const storeMax = Number(/^FileDescriptorStoreMax=(\d+)$/m.exec(readFileSync('systemd/parentfs@.service', 'utf8'))?.[1])
const mountAlone = 4

t.setTimeout(3_600_000)

if (skip !== false) {
  t.test('clients of librbd over deaths of supervisors', { skip }, async () => {})
} else {
  const cluster = await CephTestCluster.start(t)
  await clientProgram()
  const parent = await parentIn(cluster, 'golden')
  t.test(`${kills} deaths of worker and supervisor under load are not seen (SEED=${seed})`, async t => {
    await deaths(t, await setUp(t, cluster, parent, storeMax))
  })
  t.test('a manager without room for connections holds the mount alone', async t => {
    await mountAloneIsHeld(t, await setUp(t, cluster, parent, mountAlone))
  })
}

interface At {
  readonly where: ReturnType<typeof place>
  readonly service: Service
  readonly client: Parent & { readonly socket: string }
}

async function setUp(t: Test, cluster: CephTestCluster, parent: Parent, descriptorsMax: number): Promise<At> {
  const where = { ...place(t), origin: 'rbd://rbd/' }
  const socket = join(where.top, 'librbd.sock')
  const file = configurationAt(where, cluster, { socket, more: ['worker: { stableAfter: 1ms }'] })
  const words = [...command, 'mount', '--config', file]
  const service = await startService(t, where, { storeMax: descriptorsMax, restartMs: 100, command: words })
  const client = { ...parent, socket }
  await clientReads(client, { reads: 1 })
  const whole = { reads: 10_000, bytes: 65536, order: 'sequential', depth: 4 }
  const isKnown = async () => (await clientReads(client, whole)).path > 500
  await until(isKnown, patienceMs, 'the parent is known and held')
  return { where, service, client }
}

async function deaths(t: Test, { where, service, client }: At): Promise<void> {
  const view = `${client.socket}.objects`
  const mountedBefore = await mountsAt(view)
  const clients = await Promise.all(
    [{ depth: 8 }, { depth: 4, order: 'sequential', bytes: 65536 }, { depth: 1, version: 0 }].map(options =>
      startEndlessClient(t, client, options),
    ),
  )
  await until(async () => (await statusOf(where)).librbd?.connections === 3, patienceMs, 'three clients')
  const random = seeded(seed)
  let starts = 1
  for (let kill = 0; kill < kills; kill++) {
    const { pid: worker, takeovers } = await statusOf(where)
    const supervisor = service.supervisorPid()
    const way = ways[kill % ways.length]!
    for (const who of way.split(', ')) process.kill(who === 'worker' ? worker : supervisor, 'SIGKILL')
    if (way !== 'worker') starts++
    if (way === 'supervisor, worker') {
      // And the one that follows, at any moment of its start.
      await until(() => service.starts() === starts, patienceMs, 'another supervisor')
      starts++
      await new Promise(resolve => setTimeout(resolve, between(random, 0, 900)))
      process.kill(service.supervisorPid(), 'SIGKILL')
    }
    const serves = async () => {
      const seen = await statusOf(where).catch(() => null)
      if (seen?.state !== 'ready' || seen.takeovers.count <= takeovers.count) return false
      // All three are there, and this worker has learned of the parent.
      const { connections = 0, answers = {} } = seen.librbd ?? {}
      return connections >= 3 && (answers.resident ?? 0) > 20
    }
    await until(serves, 3 * patienceMs, `that it serves after the death of ${way}: ${service.log().slice(-2000)}`)
    if (way !== 'worker' && isRunning(supervisor)) t.fail('the supervisor of before is there still')
  }
  for (const [at, running] of clients.entries()) {
    const seen = await running.stop()
    t.match(seen, { wrong: 0, errors: 0, openFailed: 0, readFailed: 0, over: false }, `client ${at}`)
    t.comment(`client ${at}: ${seen.path} reads by path, ${seen.rados} left to the cluster`)
  }
  t.same(await mountsAt(view), mountedBefore, 'one and the same object view')
  t.equal(service.starts(), starts)
  const areDropped = () => service.held().every(name => !/^librbd-\d/.test(name))
  await until(areDropped, patienceMs, 'connections that have ended are held no more')
  t.equal(service.held().filter(name => name.startsWith('librbd-')).length, 3, service.held().join(' '))
  t.equal(await service.stop(), 0)
  t.same(service.held(), [])
  t.same(await mountsAt(view), [])
}

async function mountAloneIsHeld(t: Test, { where, service, client }: At): Promise<void> {
  const running = await startEndlessClient(t, client, { depth: 8 })
  await until(async () => (await statusOf(where)).librbd?.connections === 1, patienceMs, 'a client')
  t.notOk(
    service.held().some(name => name.startsWith('librbd')),
    'the mount has the room',
  )
  const { takeovers } = await statusOf(where)
  process.kill(service.supervisorPid(), 'SIGKILL')
  const serves = async () => ((await statusOf(where).catch(() => null))?.takeovers.count ?? 0) > takeovers.count
  await until(serves, patienceMs, 'the next supervisor')
  const seen = await running.stop()
  // The manager kills what is left of a service at once, so a read by path may fail: librbd reads that itself.
  t.match(seen, { wrong: 0, errors: 0, over: true })
  const isPath = async () => (await clientReads(client, { reads: 100 })).path > 0
  await until(isPath, patienceMs, 'another client is served')
  t.equal(await service.stop(), 0)
}
