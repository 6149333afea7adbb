/**
 * Answers to clients of librbd on mounts, against a real cluster: by the state of the object, the mode of the image and
 * the kind of the parent. What an operator sees of them.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { requestTemperatures } from '../../src/admin/admin-client.ts'
import { socketPath, trustedRuntimeDirectory } from '../../src/admin/socket-path.ts'
import { CephTestCluster, noCeph } from '../fixtures/ceph/cluster.ts'
import { cannotMount, logs, parentfs, patienceMs, place, statusOf, stop } from '../fixtures/daemon.ts'
import { clientProgram, clientReads, startEndlessClient } from '../fixtures/librbd/clients.ts'
import { type Mounted, mounted, mountedByFile, type Parent, parentIn, untilKnown } from '../fixtures/librbd/mounts.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const skip = noCeph !== false ? noCeph : cannotMount

if (skip !== false) {
  t.test('answers to clients of librbd', { skip }, async () => {})
} else {
  const cluster = await CephTestCluster.start(t)
  await clientProgram()
  const golden = await parentIn(cluster, 'golden')
  t.test(
    'status and explain tell the parents, their objects and the answers',
    async t => await seen(t, cluster, golden),
  )
  t.test('reads of objects count in plans and hit sets', async t => await uses(t, cluster, golden))
  t.test('a mode leaves misses or everything to the cluster', async t => await modes(t, cluster, golden))
  t.test('a parent that is a clone itself', async t => await grandparent(t, cluster, golden))
  t.test('a parent in a namespace', async t => await namespace(t, cluster, golden))
  t.test('a parent whose data lies in a pool of its own', async t => await dataPool(t, cluster, golden))
  t.test('a striped or encrypted parent is left to the cluster', async t => await refused(t, cluster, golden))
  t.test('a snapshot that is deleted meanwhile never yields zeros', async t => await deleted(t, cluster))
}

const whole = { reads: 10_000, bytes: 65536, order: 'sequential', depth: 4 }

/** All of the parent is held; the client checks every byte. */
async function fill({ client, where }: Mounted, more: Readonly<Record<string, number>> = {}): Promise<void> {
  const isFull = async () => {
    const { rados } = await clientReads(client, { ...whole, ...more })
    return rados === 0 && (await statusOf(where)).promotion.queuedBytes === 0
  }
  await until(isFull, patienceMs, 'all of it is answered by path')
}

async function seen(t: Test, cluster: CephTestCluster, parent: Parent): Promise<void> {
  const at = await mounted(t, cluster, parent)
  t.match((await statusOf(at.where)).librbd, { connections: 0, parentsKnown: 0, parents: [] })
  await untilKnown(at)
  const { librbd } = await statusOf(at.where)
  t.match(librbd, { parentsKnown: 1, parents: [{ image: 'golden@v1', refusal: null, namespace: '' }], broken: 0 })
  t.ok(librbd!.answers.unknown! > 0, 'the first ask')
  const { prefix } = librbd!.parents[0]!
  const told = await parentfs('explain', `${prefix}.0000000000000001`, '4096', '-m', at.where.mountpoint)
  t.match(told, { code: 0, stderr: '' })
  t.match(told.stdout.toString(), /4096 bytes at 4198400 of golden@v1/)
  t.match(told.stdout.toString(), /object +1 of rbd_data/)
  t.match(told.stdout.toString(), /librbd +cold: answered by the cluster/)
  await fill(at)
  const asked = ['explain', `${prefix}.0000000000000000`, '0', '-m', at.where.mountpoint, '--json']
  const held = JSON.parse((await parentfs(...asked)).stdout.toString())
  t.match(held, { name: 'golden@v1', offset: 0, librbd: { kind: 'resident', object: 0, path: /[0-9a-f]{16}$/ } })
  t.equal((await clientReads(at.client, { reads: 100 })).path, 100)
  const table = (await parentfs('status', at.where.mountpoint)).stdout.toString()
  t.match(table, /librbd +\d+ connections; \d+ answers by path/)
  t.match(table, /rbd_data\.\w+ +\d+ +\d+ +- +golden@v1/)
  for (const [object, message] of [
    ['rbd_data.abc.0000000000000000', /no client has asked/],
    [`${prefix}.00000000000fffff`, /past the end/],
    [`${prefix}.0000000000000000@99`, /no client has asked/],
  ] as const) {
    t.match(await parentfs('explain', object, '0', '-m', at.where.mountpoint), { code: 1, stderr: message })
  }
  t.equal(await stop(at.daemon), 0)
}

async function uses(t: Test, cluster: CephTestCluster, parent: Parent): Promise<void> {
  const at = await mountedByFile(t, cluster, parent, 'hitSet: { count: 2, period: 2s }')
  const { where } = at
  const { mountpoint } = where
  t.match(await parentfs('promote', 'golden@v1', '-m', mountpoint), { code: 0 })
  await untilKnown(at)
  t.equal((await clientReads(at.client, { reads: 400, depth: 4 })).path, 400)
  const { hits, misses } = (await statusOf(at.where)).reads
  t.ok(hits > 20, `${hits} hits`)
  const plan = JSON.parse((await parentfs('plan', mountpoint, '--json')).stdout.toString())
  t.equal(plan.reads, hits + misses, 'hits of objects are reads of the plan')
  t.ok(plan.capacities.at(-1).lru.originRequests > 20, 'and uses of their blocks')
  // Its bytes lie in memory then: session threads answer, and hardly ever a store thread.
  await run('cmp', parent.raw, join(mountpoint, 'golden@v1'))
  const byStoreThreads = async () =>
    (await statusOf(where)).latencies.disk.counts.reduce((sum, count) => sum + count, 0)
  let seed = 100
  const isWarm = async () => {
    await until(async () => (await warmObjects(at)) === 0, patienceMs, 'the sets of all that are over')
    const before = await byStoreThreads()
    // Other pages each time: the kernel asks for each of them once.
    await clientReads(at.client, { reads: 200, depth: 4, seed: seed++ })
    return (await warmObjects(at)) - ((await byStoreThreads()) - before) >= 4
  }
  await until(isWarm, patienceMs, 'objects that session threads answer are in the hit set')
  t.equal((await statusOf(where)).reads.misses, misses, 'all of it were hits')
  t.equal(await stop(at.daemon), 0)
}

/** Objects that are in a hit set. */
async function warmObjects({ where }: Mounted): Promise<number> {
  const { images } = (await requestTemperatures(socketPath(where.mountpoint, trustedRuntimeDirectory())))!
  const bytes = images.flatMap(({ bytesByPeriods }) => bytesByPeriods.slice(1)).reduce((sum, each) => sum + each, 0)
  return Math.ceil(bytes / 2 ** 22)
}

async function modes(t: Test, cluster: CephTestCluster, parent: Parent): Promise<void> {
  const at = await mounted(t, cluster, parent)
  await untilKnown(at)
  const setMode = async (mode: string) =>
    t.match(await parentfs('mode', mode, '-m', at.where.mountpoint), { code: 0, stderr: '' })
  await setMode('forward')
  // Object 0 was read by path before; the others were not.
  const asked = { reads: 20, object: 3 }
  for (let k = 0; k < 3; k++) t.match(await clientReads(at.client, asked), { path: 0, rados: 20 }, 'a miss goes back')
  await setMode('promote')
  await fill(at)
  await setMode('forward')
  t.match(await clientReads(at.client, asked), { path: 20 }, 'a hit is served')
  await setMode('none')
  t.match(await clientReads(at.client, asked), { path: 0, rados: 20 }, 'the cache is not asked')
  await setMode('promote')
  t.match(await clientReads(at.client, asked), { path: 20 })
  t.equal(await stop(at.daemon), 0)
}

/** A clone of golden@v1 with some objects of its own, as a parent. */
async function grandparent(t: Test, cluster: CephTestCluster, golden: Parent): Promise<void> {
  const rbd = (...words: string[]) => cluster.tool('rbd', ...words)
  await rbd('snap', 'protect', 'rbd/golden@v1')
  await rbd('clone', 'rbd/golden@v1', 'rbd/middle')
  const bench = [
    '--io-type',
    'write',
    '--io-size',
    '1M',
    '--io-total',
    '8M',
    '--io-pattern',
    'rand',
    '--io-threads',
    '1',
  ]
  await rbd('bench', 'rbd/middle', ...bench)
  await rbd('snap', 'create', '--no-progress', 'rbd/middle@v1')
  const raw = join(cluster.directory, 'middle.raw')
  await rbd('export', '--no-progress', 'rbd/middle@v1', raw)
  const at = await mounted(t, cluster, { ...golden, image: 'middle', raw })
  await untilKnown(at, { parent: 1 })
  await clientReads(at.client, { ...whole, parent: 1 })
  const { absent } = await clientReads(at.client, { reads: 200, parent: 1, depth: 4 })
  t.ok(absent > 0, 'objects of the grandparent are absent in the parent')
  t.equal(await stop(at.daemon), 0)
}

async function namespace(t: Test, cluster: CephTestCluster, golden: Parent): Promise<void> {
  await cluster.tool('rbd', 'namespace', 'create', 'rbd/tenant')
  await cluster.tool('rbd', 'import', '--no-progress', golden.raw, 'rbd/tenant/golden')
  await cluster.tool('rbd', 'snap', 'create', '--no-progress', 'rbd/tenant/golden@v1')
  const parent = { ...golden, namespace: 'tenant' }
  const at = await mounted(t, cluster, parent, { ...place(t), origin: 'rbd://rbd/tenant/' })
  await untilKnown(at)
  await fill(at)
  t.match((await statusOf(at.where)).librbd, { parents: [{ namespace: 'tenant', image: 'golden@v1' }] })
  // The same pool without the namespace is another place.
  await clientReads({ ...golden, socket: at.client.socket }, { reads: 1 })
  const isRefused = async () =>
    (await statusOf(at.where)).librbd?.parents.some(each => each.refusal === 'not-an-origin')
  await until(async () => (await isRefused()) === true, patienceMs, 'the other parent is refused')
  t.equal(await stop(at.daemon), 0)
}

async function dataPool(t: Test, cluster: CephTestCluster, golden: Parent): Promise<void> {
  await cluster.createPool('data')
  await cluster.tool('rbd', 'import', '--no-progress', '--data-pool', 'data', golden.raw, 'rbd/apart')
  await cluster.tool('rbd', 'snap', 'create', '--no-progress', 'rbd/apart@v1')
  const at = await mounted(t, cluster, { ...golden, image: 'apart' })
  await untilKnown(at)
  await fill(at)
  t.match((await statusOf(at.where)).librbd, { parents: [{ image: 'apart@v1', prefix: /^rbd_data\.\d+\.\w+$/ }] })
  t.equal(await stop(at.daemon), 0)
}

async function refused(t: Test, cluster: CephTestCluster, golden: Parent): Promise<void> {
  const import_ = (...words: string[]) => cluster.tool('rbd', 'import', '--no-progress', ...words)
  await import_('--stripe-unit', '65536', '--stripe-count', '4', golden.raw, 'rbd/striped')
  const locked = join(cluster.directory, 'locked.raw')
  writeFileSync(locked, Buffer.concat([Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'), Buffer.alloc(2 ** 20 - 8, 7)]))
  await import_(locked, 'rbd/locked')
  const at = await mounted(t, cluster, golden)
  for (const [image, raw, refusal] of [
    ['striped', golden.raw, 'striped'],
    ['locked', locked, 'encrypted'],
  ] as const) {
    await cluster.tool('rbd', 'snap', 'create', '--no-progress', `rbd/${image}@v1`)
    const client = { ...at.client, image, raw }
    await clientReads(client, { reads: 4 })
    const isRefused = async () => (await statusOf(at.where)).librbd?.parents.some(each => each.refusal === refusal)
    await until(async () => (await isRefused()) === true, patienceMs, `${image} is refused`)
    t.match(await clientReads(client, { reads: 8 }), { path: 0, rados: 8 }, image)
  }
  t.equal(await stop(at.daemon), 0)
}

async function deleted(t: Test, cluster: CephTestCluster): Promise<void> {
  const parent = await parentIn(cluster, 'doomed')
  // Its data is the snapshot's alone from now on, and goes with it: librados has zeros for what has gone.
  await cluster.tool('rbd', 'resize', '--no-progress', '--allow-shrink', '--size', '0', 'rbd/doomed')
  const at = await mounted(t, cluster, parent)
  await untilKnown(at)
  const client = await startEndlessClient(t, at.client, { depth: 4, pause: 100, fallback: 0 })
  await until(async () => (await statusOf(at.where)).reads.misses > 20, patienceMs, 'reads by path')
  await cluster.tool('rbd', 'snap', 'rm', '--no-progress', 'rbd/doomed@v1')
  await logs(at.daemon, /"opcode":"READ".*the snapshot or image that was opened is no longer there/)
  const seen = await client.stop()
  t.match(seen, { wrong: 0, over: false })
  t.ok(seen.path > 20 && seen.readFailed > 0, `${seen.path} reads by path, ${seen.readFailed} of them failed`)
  t.equal(await stop(at.daemon), 0)
}
