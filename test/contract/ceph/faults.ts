/**
 * Faults of a Ceph cluster, and faults done to it: errors within their time, right bytes afterwards without another
 * origin, and an event loop that was never held up.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { type CacheError, isCacheError } from '../../../src/base/errors.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import { loadCephAddon } from '../../../src/native/ceph-addon.ts'
import { type RbdOptions, RbdOrigin } from '../../../src/origin/ceph/rbd.ts'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { freePort } from '../../fixtures/free-port.ts'
import { type SampleImage, sampleBytes, writeSample } from '../../fixtures/images.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const sample: SampleImage = { seed: 31, sizeBytes: 4 * 1024 * 1024, dataShare: 1 }
/** Longest time of one call here, and the time that a busy machine adds to it. */
const callMsMax = 2_000
const marginMs = 8_000
const pieceBytes = 64 * 1024

export function cephFaults(cluster: () => CephTestCluster): void {
  t.test('what goes wrong in a Ceph cluster', async t => {
    const parts = await prepare(t, cluster())
    const ticker = new Worker(ticking, { eval: true, workerData: awakeMs })
    t.teardown(() => ticker.terminate())
    await t.test('a stopped OSD: in time, and right again', async t => await stoppedOsd(t, parts))
    await t.test('a stopped monitor: who is connected goes on', async t => await stoppedMonitor(t, parts))
    await t.test('an OSD that was killed, and comes back', async t => await killedOsd(t, parts))
    await t.test('an OSD that comes back elsewhere, after another change', async t => await movedOsd(t, parts))
    await t.test('a client that is blocklisted connects anew', async t => await blocklisted(t, parts))
    await t.test(
      'a snapshot that is deleted is never read as zeros or as its parent',
      async t => await deleted(t, parts),
    )
    await t.test('keys, keyrings, configurations and clusters that are not there', async t => await strangers(t, parts))
    t.ok(Atomics.load(awakeMs, 0) > 0, 'the other thread has counted')
  })
}

interface Parts {
  readonly cluster: CephTestCluster
  readonly file: string
  readonly options: RbdOptions
  /** Opened at each call; closed with the test. */
  origin(t: Test, options?: Partial<RbdOptions>): RbdOrigin
  image(origin: RbdOrigin, key: string): Promise<Image>
}

/** The user of these origins may do no more than a reader has to. */
async function prepare(t: Test, cluster: CephTestCluster): Promise<Parts> {
  const file = join(t.testdir(), 'sample')
  writeSample(file, sample)
  await cluster.tool('rbd', 'import', '--no-progress', '--object-size', '64K', file, 'rbd/faults')
  await cluster.tool('rbd', 'snap', 'create', '--no-progress', 'rbd/faults@s')
  const keyring = join(cluster.directory, 'parents.keyring')
  const caps = ['mon', 'profile rbd', 'osd', 'profile rbd-read-only pool=rbd']
  await cluster.tool('ceph', 'auth', 'get-or-create', 'client.parents', ...caps, '-o', keyring)
  const options: RbdOptions = {
    addon: loadCephAddon(),
    id: 'parents',
    keyring,
    configurationFile: cluster.configuration,
    callMsMax,
    allowMutable: false,
    readers: null,
  }
  const origin = (t: Test, others: Partial<RbdOptions> = {}) => {
    const opened = new RbdOrigin('rbd://rbd/', { ...options, ...others })
    t.teardown(() => opened.close())
    return opened
  }
  const image = async (origin: RbdOrigin, key: string) => {
    const facts = await again(() => origin.lookup(key, { signal: new AbortController().signal }))
    return identify(facts)
  }
  return { cluster, file, options, origin, image }
}

/** Read one piece: is it right? */
async function isRight(origin: RbdOrigin, image: Image, piece = 0): Promise<boolean> {
  const target = Buffer.alloc(pieceBytes, 0xa5)
  await origin.read(image, piece * pieceBytes, target, { signal: new AbortController().signal })
  return sampleBytes(sample, piece * pieceBytes, pieceBytes).equals(target)
}

/** Until it works: a busy machine may be late with anything. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + patienceMs
  while (true) {
    try {
      return await work()
    } catch (error) {
      const mayPass = isCacheError(error, 'origin-timeout', 'origin-unreachable', 'origin-failed')
      if (!mayPass || performance.now() > endMs) throw error
    }
  }
}

/** Milliseconds in which another thread of this process ran: a machine that holds up all of it holds up that, too. */
const awakeMs = new Int32Array(new SharedArrayBuffer(4))
const ticking = `const { workerData } = require('node:worker_threads')
setInterval(() => Atomics.add(workerData, 0, 10), 10)`

/** The code that `work` fails with, if it fails in time and nothing has held up the event loop meanwhile. */
async function codeInTime(t: Test, work: () => Promise<unknown>): Promise<string> {
  let [lastMs, gapMs] = [Atomics.load(awakeMs, 0), 0]
  const look = () => {
    const nowMs = Atomics.load(awakeMs, 0)
    gapMs = Math.max(gapMs, nowMs - lastMs)
    lastMs = nowMs
  }
  const timer = setInterval(look, 10)
  const startedMs = performance.now()
  try {
    await work()
    return 'none'
  } catch (error) {
    return (error as CacheError).code
  } finally {
    clearInterval(timer)
    look()
    t.ok(performance.now() - startedMs < callMsMax + marginMs, `${performance.now() - startedMs} ms`)
    t.ok(gapMs < callMsMax * 0.75, `the event loop stood still for ${gapMs} ms`)
  }
}

async function stoppedOsd(t: Test, { cluster, origin, image }: Parts): Promise<void> {
  const opened = origin(t)
  const read = await image(opened, 'faults@s')
  t.ok(await again(() => isRight(opened, read)))
  cluster.signal('osd', 'SIGSTOP')
  try {
    const reads = Array.from({ length: 200 }, (_, k) => isRight(opened, read, k % 64))
    t.equal(await codeInTime(t, () => Promise.all(reads)), 'origin-timeout')
    await Promise.allSettled(reads)
    t.equal(
      await codeInTime(t, () => opened.lookup('faults@s', { signal: new AbortController().signal })),
      'origin-timeout',
    )
    const other = origin(t)
    await codeInTime(t, () => other.list({ signal: new AbortController().signal }))
    const startedMs = performance.now()
    await other.close()
    t.ok(performance.now() - startedMs < marginMs, 'an end comes in its time')
  } finally {
    cluster.signal('osd', 'SIGCONT')
  }
  t.ok(await again(() => isRight(opened, read, 1)))
}

async function stoppedMonitor(t: Test, { cluster, origin, image }: Parts): Promise<void> {
  const opened = origin(t)
  const read = await image(opened, 'faults@s')
  t.ok(await again(() => isRight(opened, read)))
  cluster.signal('mon', 'SIGSTOP')
  const late = origin(t)
  try {
    t.ok(await isRight(opened, read, 2))
    const list = () => late.list({ signal: new AbortController().signal })
    t.equal(await codeInTime(t, list), 'origin-unreachable')
  } finally {
    cluster.signal('mon', 'SIGCONT')
  }
  t.ok((await again(() => late.list({ signal: new AbortController().signal }))).length > 0)
}

/** Kill the OSD under a client that has read. @returns a read of that client, which has failed in time once */
async function killOsd(t: Test, { cluster, origin, image }: Parts, piece: number) {
  const opened = origin(t)
  const read = await image(opened, 'faults@s')
  t.ok(await again(() => isRight(opened, read)))
  await cluster.kill('osd')
  const readOnce = () => isRight(opened, read, piece)
  t.equal(await codeInTime(t, readOnce), 'origin-timeout')
  return { image: read, readOnce }
}

async function killedOsd(t: Test, parts: Parts): Promise<void> {
  const { cluster } = parts
  const { readOnce } = await killOsd(t, parts, 3)
  cluster.begin('osd')
  try {
    t.ok(await again(readOnce))
  } catch (error) {
    t.comment(await cluster.troubles())
    throw error
  }
}

/** The library hears of one change after the other. Then it has to ask by itself where the OSD is. */
async function movedOsd(t: Test, parts: Parts): Promise<void> {
  const { cluster, origin } = parts
  const { image, readOnce } = await killOsd(t, parts, 5)
  await cluster.tool('ceph', 'osd', 'set', 'noscrub')
  t.equal(await codeInTime(t, readOnce), 'origin-timeout')
  // Other ports than those of before.
  cluster.begin('osd', '--ms_bind_port_min', '7100')
  const other = origin(t)
  t.ok(await again(() => isRight(other, image, 5)), 'one that connects now')
  let tries = 0
  const isFound = () => {
    tries++
    return readOnce()
  }
  t.ok(await again(isFound))
  t.ok(tries <= 8, `${tries} calls: by itself it is found after twenty`)
}

async function blocklisted(t: Test, { cluster, origin, image }: Parts): Promise<void> {
  const opened = origin(t)
  const read = await image(opened, 'faults@s')
  t.ok(await again(() => isRight(opened, read)))
  const sessions = (await cluster.ask('mon', 'sessions')) as { entity_name: string; socket_addr: Address }[]
  const ours = sessions.filter(session => session.entity_name === 'client.parents')
  t.ok(ours.length > 0)
  for (const { socket_addr: address } of ours) {
    await cluster.tool('ceph', 'osd', 'blocklist', 'add', `${address.addr}/${address.nonce}`)
  }
  // The OSD hears of it in its time, and answers until then.
  const refused = async () =>
    (await isRight(opened, read, 4).catch(error => (error as CacheError).code)) === 'origin-unreachable'
  await until(refused, patienceMs, 'the client is shut out')
  t.ok(await again(() => isRight(opened, read, 4)))
}

interface Address {
  readonly addr: string
  readonly nonce: number
}

async function deleted(t: Test, { cluster, file, origin, image }: Parts): Promise<void> {
  const rbd = (...args: readonly string[]) => cluster.tool('rbd', ...args)
  await rbd('import', '--no-progress', '--object-size', '64K', file, 'rbd/gone')
  await rbd('snap', 'create', '--no-progress', 'rbd/gone@s')
  // A child that differs everywhere from its parent, so that the parent's bytes in place of its own show.
  const parent = join(cluster.directory, 'parent')
  writeSample(parent, { ...sample, seed: 77 })
  await rbd('import', '--no-progress', '--object-size', '64K', parent, 'rbd/parent')
  await rbd('snap', 'create', '--no-progress', 'rbd/parent@s')
  await rbd('snap', 'protect', 'rbd/parent@s')
  await rbd('clone', 'rbd/parent@s', 'rbd/child')
  const difference = join(cluster.directory, 'difference')
  await rbd('export-diff', '--no-progress', 'rbd/gone', difference)
  await rbd('import-diff', '--no-progress', difference, 'rbd/child')
  await rbd('snap', 'create', '--no-progress', 'rbd/child@s')
  for (const name of ['gone', 'child']) {
    const opened = origin(t)
    const read = await image(opened, `${name}@s`)
    t.ok(await again(() => isRight(opened, read)), name)
    t.same(await opened.extentAt(read, 0, { signal: new AbortController().signal }), {
      hole: false,
      end: sample.sizeBytes,
    })
    await rbd('snap', 'rm', '--no-progress', `rbd/${name}@s`)
    await rbd('rm', '--no-progress', `rbd/${name}`)
    let piece = 0
    const hasGone = async () => {
      const code = await isRight(opened, read, piece++ % 64).then(right => (right ? 'right' : 'wrong'), codeOf)
      if (code === 'wrong') t.fail(`${name}: other bytes than those of the snapshot`)
      return code === 'image-changed' || code === 'wrong'
    }
    await until(hasGone, patienceMs, `${name} has gone`)
    for (piece = 0; piece < 64; piece++) t.equal(await isRight(opened, read, piece).catch(codeOf), 'image-changed')
  }
}

function codeOf(error: unknown): string {
  return (error as CacheError).code
}

async function strangers(t: Test, { cluster, origin }: Parts): Promise<void> {
  const list = (options: Partial<RbdOptions>) => () => origin(t, options).list({ signal: new AbortController().signal })
  const wrong = join(cluster.directory, 'wrong.keyring')
  writeFileSync(wrong, '[client.parents]\n\tkey = AQBn3b9lAAAAABAAq0Vv3v9sW4m8r5xkYt1yXw==\n')
  t.equal(await codeInTime(t, list({ keyring: wrong })), 'access-denied', 'a wrong key')
  t.equal(await codeInTime(t, list({ keyring: '/nowhere/keyring' })), 'access-denied', 'no keyring')
  t.equal(await codeInTime(t, list({ id: 'nobody' })), 'access-denied', 'no key of that name')
  t.equal(await codeInTime(t, list({ configurationFile: '/nowhere/ceph.conf' })), 'origin-unreachable', 'no file')
  const elsewhere = join(cluster.directory, 'elsewhere.conf')
  writeFileSync(elsewhere, `[global]\nmon host = [v1:127.0.0.1:${await freePort()}]\nms bind msgr2 = false\n`)
  t.equal(await codeInTime(t, list({ configurationFile: elsewhere })), 'origin-unreachable', 'no cluster')
}
