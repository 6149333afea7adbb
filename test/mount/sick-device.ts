/**
 * Reads go on, and every byte is right, on disks that are sick for real: file systems that the kernel makes read-only
 * or that are full to the last byte, and a block device that gives EIO or nothing at all. Nothing here comes from the
 * layer of faults.
 */
import { statfsSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { fetchStatus } from '../../src/admin/admin-client.ts'
import { runtimeDirectory, runtimeSurroundings, socketPath } from '../../src/admin/socket-path.ts'
import { awakeClock } from '../fixtures/awake-clock.ts'
import { cannotMount, isRunning, logs, type Place, statusOf, stop } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { makeLoopDisk } from '../fixtures/loop-disk.ts'
import { longestMsMax, patient, patientAt, recoveryMsMax } from '../fixtures/patient.ts'
import { attempt, run } from '../fixtures/run.ts'
import { seed } from '../fixtures/seeded.ts'
import { makeSickDevice, noSickDevice } from '../fixtures/sick-device.ts'
import { until } from '../fixtures/until.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const image = { seed, sizeBytes: 32 * MiB, dataShare: 1 }

t.test('a file system that the kernel makes read-only', { skip: cannotMount }, async t => {
  const disk = await makeLoopDisk(t, 'ext4', 200 * MiB)
  await run('mount', '-o', 'remount,errors=remount-ro', disk.mountpoint)
  const sick = await patient(t, image, disk)
  const { pid } = await statusOf(sick.where)
  await sick.reading('EROFS', image.sizeBytes, async () => {
    const { code, stderr } = await attempt('mount', '-o', 'remount,ro', disk.mountpoint)
    t.match([code, stderr], [32, /busy/], 'by hand it is refused while a cache has its files open')
    // The only other way: ext4 found an error.
    writeFileSync(`/sys/fs/ext4/${basename(disk.device)}/trigger_fs_error`, '1')
    await sick.becomes('degraded')
    t.match((await statusOf(sick.where)).health.reason, /Read-only|EROFS/)
    // The index meets EROFS too: what is new is served all the same.
    writeSample(join(sick.where.originDirectory, 'b.raw'), image)
    const compared = await attempt(
      'cmp',
      join(sick.where.originDirectory, 'b.raw'),
      join(sick.where.mountpoint, 'b.raw'),
    )
    t.equal(
      compared.code,
      0,
      `a new image: ${compared.stderr}${compared.code === 0 ? '' : sick.daemon.log().slice(-3000)}`,
    )
    await logs(sick.daemon, /index cannot be written: EROFS.*is not recorded/)
  })
  t.ok(isRunning(pid), 'it is still the same worker')
  t.equal(await stop(sick.daemon), 0, sick.daemon.log().slice(-2000))
  // No ext4 becomes writable again without another mount.
  await run('umount', disk.mountpoint)
  await attempt('fsck.ext4', '-y', disk.device)
  await run('mount', disk.device, disk.mountpoint)
  const well = await patientAt(t, image, sick.where)
  await well.reading('mounted again', image.sizeBytes, () => well.isResident(image.sizeBytes / 2))
  t.same(well.changes(), [])
  t.equal(await stop(well.daemon), 0)
})

t.test('a file system that is filled to the last byte under a commit of the index', { skip: cannotMount }, async t => {
  const disk = await makeLoopDisk(t, 'ext4', 200 * MiB)
  // Zeros take no space, and records do: of all that is written, only the index needs room.
  const zeros = { seed, sizeBytes: 128 * MiB, dataShare: 0 }
  const sick = await patient(t, zeros, disk, '--block-size', '4KiB')
  const { pid } = await statusOf(sick.where)
  // The data file is there, and a commit has measured a disk with room: nothing measures it again before the next one.
  await run('dd', `if=${join(sick.where.mountpoint, 'a.raw')}`, 'of=/dev/null', 'bs=4k', 'count=1', 'status=none')
  await sick.isResident(4096)
  const filler = join(disk.mountpoint, 'filler')
  // As root: what is reserved for root too.
  await attempt('dd', 'if=/dev/zero', `of=${filler}`, 'bs=1M', 'status=none')
  await attempt('dd', 'if=/dev/zero', `of=${filler}.2`, 'bs=4k', 'status=none')
  t.equal(statfsSync(disk.mountpoint).bavail, 0, 'not a block is free')
  await sick.reading('ENOSPC', zeros.sizeBytes, async () => {
    // One batch goes on from what was measured before; the index takes the room that it has set aside.
    await until(
      async () => (await statusOf(sick.where)).promotion.dropped > 0,
      recoveryMsMax,
      'the first that has no room',
    )
    const { residentBytes } = (await statusOf(sick.where)).images[0]!
    t.ok(residentBytes > 4096, 'a commit succeeded on the full disk')
    await run('rm', '-f', filler, `${filler}.2`)
    await sick.isResident(Math.min(residentBytes + MiB, zeros.sizeBytes))
  })
  t.notMatch(sick.daemon.log(), /index cannot be written/)
  t.ok(isRunning(pid), 'it is still the same worker')
  t.equal(await stop(sick.daemon), 0)
})

const device = { skip: cannotMount || noSickDevice }

t.test('a device that reads nothing', device, async t => {
  const disk = await makeSickDevice(t, 200 * MiB)
  const sick = await patient(t, image, disk)
  await sick.reading('warm', image.sizeBytes / 4, () => sick.isResident(image.sizeBytes / 5))
  await forgetPages(sick.where)
  disk.fail('reads')
  await sick.reading('EIO', image.sizeBytes / 4, async () => {
    await sick.becomes('bypass')
    disk.fail('nothing')
    await sick.becomes('healthy')
  })
  t.equal(await stop(sick.daemon), 0)
})

t.test('a device that hangs for ten seconds, under hits, misses and promotions', device, async t => {
  const disk = await makeSickDevice(t, 200 * MiB)
  const sick = await patient(t, image, disk)
  await sick.reading('warm', image.sizeBytes / 4, () => sick.isResident(image.sizeBytes / 5))
  await run('sync', '-f', disk.mountpoint)
  await forgetPages(sick.where)
  writeSample(join(sick.where.originDirectory, 'b.raw'), image)
  t.teardown(() => disk.hang(false)) // Before the daemon is stopped, which would wait.
  const answers = answering(t, sick.where)
  await sick.reading('hang', image.sizeBytes, async () => {
    disk.hang(true)
    const beganMs = performance.now()
    await sick.becomes('bypass')
    // A new image: its name is to be recorded, its data file to be made.
    const readMs = performance.now()
    const { code, stderr } = await attempt(
      'cmp',
      '-n',
      String(MiB),
      join(sick.where.originDirectory, 'b.raw'),
      join(sick.where.mountpoint, 'b.raw'),
    )
    t.equal(code, 0, `a new image is read: ${stderr}`)
    if (code) t.comment(sick.daemon.log())
    const tookMs = Math.round(performance.now() - readMs)
    t.comment(`a new image: ${tookMs} ms`)
    t.ok(tookMs < longestMsMax, `a new image: ${tookMs} ms`)
    await until(() => performance.now() - beganMs > 10_000, recoveryMsMax, 'ten seconds')
    disk.hang(false)
    await sick.becomes('healthy')
  })
  const longestMs = await answers.finish()
  t.comment(`the longest answer of the admin socket: ${longestMs} ms`)
  t.ok(longestMs < longestMsMax, `it answered within ${longestMs} ms all the time`)
  t.equal(await stop(sick.daemon), 0)
})

t.test('a device that hangs under more reads than it queues', device, async t => {
  const disk = await makeSickDevice(t, 200 * MiB)
  const large = { seed, sizeBytes: 60 * MiB, dataShare: 1 }
  const sick = await patient(t, large, disk, '--no-passthrough')
  const file = await open(join(sick.where.mountpoint, 'a.raw'), 0o40000) // O_DIRECT
  for (let at = 0; at < large.sizeBytes; at += MiB) await file.read(Buffer.alloc(MiB), 0, MiB, at)
  await sick.isResident(large.sizeBytes)
  await forgetPages(sick.where)
  t.teardown(() => disk.hang(false))
  disk.hang(true)
  let [answered, wrong] = [0, 0]
  const read = async (at: number) => {
    const bytes = Buffer.alloc(4096)
    await file.read(bytes, 0, bytes.length, at)
    answered++
    if (!bytes.equals(sampleBytes(large, at, bytes.length))) wrong++
  }
  // Linux queues 128 requests of a loop device: a thread that begins one more waits for the device.
  const places = Array.from({ length: 240 }, (_, k) => k * 256 * KiB)
  const all = Promise.all(places.map(read))
  try {
    await until(() => answered === places.length, recoveryMsMax, 'every read to be answered')
  } finally {
    disk.hang(false)
  }
  await all
  t.equal(wrong, 0)
  await file.close()
  await sick.becomes('healthy')
  t.equal(sick.changes()[0], 'healthy bypass')
  t.equal(await stop(sick.daemon), 0)
})

/** Let the page cache lose what it has of the data files: what is read next comes from the disk. */
async function forgetPages(where: Place): Promise<void> {
  const { cacheDirectory } = where
  // The latest record is locked a moment later.
  const isQuiet = async () =>
    (await statusOf(where)).gauges.inflightFetches === 0 &&
    Date.now() - statSync(join(cacheDirectory, 'index', 'data.mdb')).mtimeMs > 1000
  await until(isQuiet, recoveryMsMax, 'the last commit')
  await run('sync', '-f', cacheDirectory)
  const drop = 'for file in "$0"/images/* "$0"/index/data.mdb; do dd if="$file" iflag=nocache count=0 status=none; done'
  await run('sh', '-c', drop, cacheDirectory)
}

/** Ask for the status again and again, to the end of the test at most: an answer shows that the event loop runs. */
function answering(t: Pick<Test, 'teardown'>, { mountpoint }: Place): { finish(): Promise<number> } {
  const socket = socketPath(mountpoint, runtimeDirectory(runtimeSurroundings()))
  const clock = awakeClock()
  let [longestMs, stopped] = [0, false]
  const running = (async () => {
    while (!stopped) {
      const beganMs = clock.now()
      await fetchStatus(socket)
      longestMs = Math.max(longestMs, clock.now() - beganMs)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  })()
  const finish = async () => {
    stopped = true
    await running
    clock.stop()
    return Math.round(longestMs)
  }
  t.teardown(finish)
  return { finish }
}
