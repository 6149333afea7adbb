/** Reads go on, and every byte is right, whatever the cache disk does; it recovers without a restart. */
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { storeReadMsMax } from '../../src/limits.ts'
import { cannotMount, type Daemon, mountDaemon, type Place, place, statusOf, stop } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { type LoopDisk, makeLoopDisk } from '../fixtures/loop-disk.ts'
import { attempt, run } from '../fixtures/run.ts'
import { seed } from '../fixtures/seeded.ts'
import { readSteadily } from '../fixtures/steady-reader.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const MiB = 1024 ** 2
const image = { seed, sizeBytes: 32 * MiB, dataShare: 1 }
const expected = sampleBytes(image, 0, image.sizeBytes)
/** A file origin answers at once; the rest is for a busy machine. */
const longestMsMax = storeReadMsMax + 1000
const recoveryMsMax = 40_000

interface Patient {
  readonly where: Place
  readonly daemon: Daemon
  /** What the disk does from now on: see native-bindings/store/faults.h. */
  say(rules: string): void
  /** Wait for a state of the disk. */
  becomes(state: string): Promise<void>
  /** Read while `work` runs, and hold what was promised. */
  reading(what: string, limitBytes: number, work: () => Promise<void>): Promise<void>
}

/** @param disk a mounted file system to cache on */
async function patient(t: Test, disk?: LoopDisk): Promise<Patient> {
  const where = { ...place(t), ...(disk ? { cacheDirectory: join(disk.mountpoint, 'cache') } : {}) }
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const rulesPath = join(where.top, 'faults')
  const say = (rules: string) => {
    writeFileSync(`${rulesPath}.new`, `${rules}\n`)
    renameSync(`${rulesPath}.new`, rulesPath)
  }
  process.env.PARENTFS_FAULTS = rulesPath
  const daemon = await mountDaemon(t, where, '--capacity', '140MiB')
  t.teardown(() => say(''))
  const becomes = (state: string) =>
    until(async () => (await statusOf(where)).health.state === state, recoveryMsMax, `the disk to be ${state}`)
  const reading = async (what: string, limitBytes: number, work: () => Promise<void>) => {
    const finish = await readSteadily(t, { mountpoint: where.mountpoint, name: 'a.raw', seed }, expected, limitBytes)
    await work()
    const { reads, wrong, longestMs } = await finish()
    t.comment(`${what}: ${reads} reads, the longest ${longestMs} ms`)
    t.same(wrong, [], `${what}: every byte is right`)
    t.ok(longestMs <= longestMsMax, `${what}: ${longestMs} <= ${longestMsMax} ms`)
  }
  return { where, daemon, say, becomes, reading }
}

/** Changes of state in the log, in order. */
function changesIn({ daemon }: Patient): string[] {
  return [...daemon.log().matchAll(/"from":"(\w+)","to":"(\w+)"/g)].map(([, from, to]) => `${from} ${to}`)
}

for (const rule of ['write EIO', 'write ENOSPC', 'write EROFS', 'sync EIO once']) {
  t.test(`after "${rule}" nothing is promoted, reads go on, and it recovers`, options, async t => {
    const sick = await patient(t)
    sick.say(rule)
    await sick.reading(rule, image.sizeBytes, async () => {
      await sick.becomes('degraded')
      const { health } = await statusOf(sick.where)
      t.match(health.reason, rule.startsWith('sync') ? /a sync failed.*EIO/ : /writing failed/)
      sick.say('')
      await sick.becomes('healthy')
      await isResident(sick, MiB) // Promotion goes on.
    })
    t.same(changesIn(sick), ['healthy degraded', 'degraded recovering', 'recovering healthy'])
    t.equal(await stop(sick.daemon), 0)
  })
}

t.test('blocks that cannot be read are fetched again; a disk that reads nothing is passed by', options, async t => {
  const sick = await patient(t)
  await sick.reading('warm', image.sizeBytes / 4, () => isResident(sick, image.sizeBytes / 5))
  sick.say(`read EIO ${MiB} 1`)
  await sick.reading('one bad sector', 2 * MiB, async () => {
    await until(() => /blocks on disk cannot be read/.test(sick.daemon.log()), recoveryMsMax, 'the drop')
  })
  t.equal((await statusOf(sick.where)).health.state, 'healthy')
  sick.say('read EIO')
  await sick.reading('read EIO', image.sizeBytes / 4, async () => {
    await sick.becomes('bypass')
    sick.say('')
    await sick.becomes('healthy')
  })
  t.equal(await stop(sick.daemon), 0)
})

t.test('a disk that stalls for ten seconds costs a read a second, once', options, async t => {
  const sick = await patient(t)
  await sick.reading('warm', image.sizeBytes / 4, () => isResident(sick, image.sizeBytes / 5))
  sick.say('read stall 10000')
  const beganMs = performance.now()
  await sick.reading('read stall', image.sizeBytes / 4, async () => {
    await sick.becomes('bypass')
    t.match((await statusOf(sick.where)).health.reason, /a read took over \d+ ms/)
    await until(() => performance.now() - beganMs > 10_000, recoveryMsMax, 'the stall to end')
    sick.say('')
    await sick.becomes('healthy')
  })
  t.equal(await stop(sick.daemon), 0)
})

t.test('a file system that somebody else fills up, index and data', options, async t => {
  const disk = await makeLoopDisk(t, 'ext4', 200 * MiB)
  const sick = await patient(t, disk)
  const filler = join(disk.mountpoint, 'filler')
  // Known by name before: what the kernel is told of an image is recorded first.
  await run('stat', join(sick.where.mountpoint, 'a.raw'))
  await attempt('dd', 'if=/dev/zero', `of=${filler}`, 'bs=1M', 'status=none')
  await attempt('dd', 'if=/dev/zero', `of=${filler}.2`, 'bs=4k', 'status=none')
  await sick.reading('ENOSPC', image.sizeBytes, async () => {
    await sick.becomes('degraded')
    rmSync(filler)
    rmSync(`${filler}.2`, { force: true })
    await sick.becomes('healthy')
  })
  t.equal(await stop(sick.daemon), 0)
})

t.test('a file system that is frozen for longer than a write may take', options, async t => {
  const disk = await makeLoopDisk(t, 'ext4', 200 * MiB)
  const sick = await patient(t, disk)
  await sick.reading('frozen', image.sizeBytes, async () => {
    await run('fsfreeze', '--freeze', disk.mountpoint)
    try {
      await sick.becomes('degraded')
    } finally {
      await run('fsfreeze', '--unfreeze', disk.mountpoint)
    }
    await sick.becomes('healthy')
  })
  t.equal(await stop(sick.daemon), 0)
})

async function isResident({ where }: Patient, bytes: number): Promise<void> {
  await until(async () => (await statusOf(where)).images[0]!.residentBytes >= bytes, recoveryMsMax, 'a warm store')
}
