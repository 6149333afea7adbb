/**
 * A snapshot in a Ceph cluster as a file of a mount: qemu's overlays run on it, also when the cluster has stopped.
 * Calls that hang then do not keep the mount from ending.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { cannotMount, isGone, mountDaemon, parentfs, place, statusOf, stop } from '../../fixtures/daemon.ts'
import { randomFrom, sampleBytes, writeSample } from '../../fixtures/images.ts'
import { attempt, run, start } from '../../fixtures/run.ts'
import { until } from '../../fixtures/until.ts'

const patterns = [
  { byte: '0x11', offset: '0', length: '1M' },
  { byte: '0x00', offset: '1M', length: '1M' },
  { byte: '0x33', offset: '5M', length: '300k' },
]

export function cephMounted(cluster: () => CephTestCluster): void {
  t.test('a snapshot in a Ceph cluster, mounted', { skip: cannotMount }, async t => {
    await t.test('overlays run on it, and from the cache alone', async t => await overlays(t, cluster()))
    await t.test('first reads of objects are right, whoever answers them', async t => await firstReads(t, cluster()))
    await t.test('without the libraries, the package is named', async t => await withoutLibraries(t))
  })
}

async function overlays(t: Test, cluster: CephTestCluster): Promise<void> {
  const raw = join(cluster.directory, 'golden.raw')
  await run('qemu-img', 'create', '-f', 'raw', raw, '16M')
  await qemuIo(raw, 'raw', ...patterns.map(({ byte, offset, length }) => `write -P ${byte} ${offset} ${length}`))
  await cluster.tool('rbd', 'import', '--no-progress', raw, 'rbd/golden')
  await cluster.tool('rbd', 'snap', 'create', '--no-progress', 'rbd/golden@v1')
  const where = { ...place(t), origin: 'rbd://rbd/' }
  const own = ['--ceph-conf', cluster.configuration, '--keyring', join(cluster.directory, 'client.admin.keyring')]
  const daemon = await mountDaemon(t, where, ...own, '-o', 'miss_seconds=6')
  const parent = join(where.mountpoint, 'golden@v1')
  const overlay = async (name: string) => {
    const file = join(where.top, name)
    await run('qemu-img', 'create', '-f', 'qcow2', '-b', parent, '-F', 'raw', file)
    await qemuIo(file, 'qcow2', 'write -P 0x55 64k 64k', 'read -P 0x55 64k 64k', 'read -P 0x11 128k 896k')
    await qemuIo(
      file,
      'qcow2',
      ...patterns.slice(1).map(({ byte, offset, length }) => `read -P ${byte} ${offset} ${length}`),
    )
  }
  await overlay('first.qcow2')
  await run('cmp', parent, raw)
  const holes = (await run('qemu-img', 'map', '--output=json', '-f', 'raw', parent)).toString()
  t.match(holes, /"data": false/, 'holes are holes')
  await until(async () => (await statusOf(where)).promotion.queuedBytes === 0, 30_000, 'promotion')

  // The same objects again, so that there is something that only the cluster has.
  await cluster.tool('rbd', 'snap', 'create', '--no-progress', 'rbd/golden@v2')
  const fresh = join(where.mountpoint, 'golden@v2')
  await run('stat', fresh)
  for (const name of ['osd', 'mon'] as const) cluster.signal(name, 'SIGSTOP')
  const hanging = start('cat', [fresh])
  try {
    await overlay('second.qcow2')
    t.pass('a second overlay runs without the cluster')
    t.not((await attempt('dd', `if=${fresh}`, 'of=/dev/null', 'bs=4096', 'count=1')).code, 0, 'what is not held fails')
    hanging.child.kill('SIGKILL')
    await hanging.ended
    const startedMs = performance.now()
    t.equal(await stop(daemon), 0, 'the server has stopped by itself')
    t.ok(performance.now() - startedMs < 15_000, `${performance.now() - startedMs} ms`)
    t.ok(await isGone(where, daemon.supervisorPid))
    t.notMatch(daemon.log(), /did not stop cleanly|has died/)
  } finally {
    for (const name of ['osd', 'mon'] as const) cluster.signal(name, 'SIGCONT')
  }
}

/** Of each object a few bytes, twice: most are answered by native threads the first time, from the cluster. */
async function firstReads(t: Test, cluster: CephTestCluster): Promise<void> {
  const sample = { seed: 21, sizeBytes: 64 * 2 ** 20, dataShare: 0.8 }
  const raw = join(cluster.directory, 'scattered.raw')
  writeSample(raw, sample)
  await cluster.tool('rbd', 'import', '--no-progress', raw, 'rbd/scattered')
  await cluster.tool('rbd', 'snap', 'create', '--no-progress', 'rbd/scattered@s')
  const where = { ...place(t), origin: 'rbd://rbd/' }
  const own = ['--ceph-conf', cluster.configuration, '--keyring', join(cluster.directory, 'client.admin.keyring')]
  const daemon = await mountDaemon(t, where, ...own)
  const path = join(where.mountpoint, 'scattered@s')
  const random = randomFrom(5)
  for (let k = 0; k < 64; k++) {
    // Objects in turn, at random within each.
    const offset = (k % 16) * 4 * 2 ** 20 + Math.floor(random() * 1023) * 4096
    const words = [`if=${path}`, 'iflag=direct,skip_bytes', `skip=${offset}`, 'bs=4096', 'count=1', 'status=none']
    if (!(await run('dd', ...words)).equals(sampleBytes(sample, offset, 4096))) t.fail(`wrong bytes at ${offset}`)
  }
  await until(async () => (await statusOf(where)).reads.misses > 16, 10_000, 'what was answered natively is counted')
  await until(async () => (await statusOf(where)).promotion.promotedBytes > 16 * 65536, 10_000, 'and promoted')
  await run('cmp', path, raw)
  t.equal(await stop(daemon), 0)
}

/** With a namespace of its own for the files of Ceph, which are empty there. */
async function withoutLibraries(t: Test): Promise<void> {
  const { top } = place(t)
  mkdirSync(join(top, 'm'))
  const mask =
    'for f in $(ldconfig -p | sed -n "s/.*=> \\(.*librados.so.2\\)$/\\1/p"); do mount --bind /dev/null "$f"; done'
  const command = `${mask} && exec node dist/cli/main.js mount rbd://rbd/ ${join(top, 'm')} --cache-dir ${join(top, 'c')}`
  const { code, stderr } = await attempt('unshare', '-m', 'sh', '-c', command)
  t.not(code, 0)
  t.match(stderr, /apt-get install librbd1 librados2/)
  t.equal((await parentfs('status', join(top, 'm'))).code !== 0, true)
}

async function qemuIo(file: string, format: string, ...commands: readonly string[]): Promise<void> {
  const said = await run('qemu-io', '-f', format, ...commands.flatMap(command => ['-c', command]), file)
  if (/fail|error/i.test(said.toString())) throw new Error(`qemu-io ${file}: ${said}`)
}
