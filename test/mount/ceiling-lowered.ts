/**
 * `parentfs set capacity` on a mount under load. Nothing is promoted over the new ceiling from the moment it is set,
 * and when the command returns, the cache is under it too. Sampled from outside, by du and by the file system's own
 * count; with CHURN=10 on ext4 too.
 */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fetchStatus, requestCapacity } from '../../src/admin/admin-client.ts'
import { runtimeDirectory, runtimeSurroundings, socketPath } from '../../src/admin/socket-path.ts'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import { cannotMount, mountDaemon, parentfs, patienceMs, place } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { makeLoopDisk } from '../fixtures/loop-disk.ts'
import { seed } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'
import { describePauses, startSampler, type Track } from '../fixtures/usage-sampler.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const mebibytes = (bytes: number) => (bytes / MiB).toFixed(2)
const samples = {
  'a.raw': { seed: 61, sizeBytes: 70 * MiB + 77, dataShare: 0.95 },
  'b.raw': { seed: 62, sizeBytes: 50 * MiB, dataShare: 0.95 },
}
const roomyBytes = 64 * MiB
/**
 * Bytes granted before the new ceiling may still be written: promotions that run, and the pages of the index for them.
 */
const grantedBytesMax = 6 * MiB
/** Samples below each ceiling at least. */
const samplesMin = 50

/**
 * Lower it by the command, as operators do, or by the socket, which is quicker: then the samples are of that time only.
 */
type Way = 'command' | 'socket'

const types = Number(process.env.CHURN ?? 0) < 10 ? (['xfs'] as const) : (['ext4', 'xfs'] as const)
for (const type of types) {
  t.test(`${type}: a ceiling lowered under load (SEED=${seed})`, { skip: cannotMount, timeout: 240_000 }, async t => {
    const disk = await makeLoopDisk(t, type, 400 * MiB)
    const where = { ...place(t), cacheDirectory: join(disk.mountpoint, 'cache') }
    for (const [name, image] of Object.entries(samples)) writeSample(join(where.originDirectory, name), image)
    const emptyBytes = disk.takenBytes()
    await mountDaemon(t, where, '--capacity', `${roomyBytes}`, '--block-size', '4KiB')
    const socket = socketPath(where.mountpoint, runtimeDirectory(runtimeSurroundings()))
    const cacheNow = async () => (await fetchStatus(socket))!.cache
    const sampler = await startSampler(t, where.cacheDirectory, { ceilingBytes: roomyBytes, emptyBytes })
    const readers = Object.entries(samples).map(([name, image], k) => {
      const images = new Map([[name, [sampleBytes(image, 0, image.sizeBytes)]]])
      return new CheckingReaders({ mountpoint: where.mountpoint, images, count: 3, seed: seed + k })
    })
    t.teardown(() => Promise.all(readers.map(each => each.stop())))
    const lowered: [Way, number][] = [
      ['socket', 24 * MiB],
      ['command', 12 * MiB],
      ['socket', 8 * MiB],
    ]
    for (const [way, ceilingBytes] of lowered) {
      await requestCapacity(socket, roomyBytes)
      await until(async () => (await cacheNow()).usedBytes > 45 * MiB, 3 * patienceMs, '45 MiB in the cache')
      const startedMs = performance.now()
      const lowered =
        way === 'socket'
          ? requestCapacity(socket, ceilingBytes)
          : parentfs('set', 'capacity', where.mountpoint, `${ceilingBytes}`)
      // Until it is set, the cache goes on to fill.
      await until(async () => (await cacheNow()).capacityBytes === ceilingBytes, patienceMs, 'the ceiling to be set')
      const before = await sampler.restart(ceilingBytes)
      isUnder(t, before.files, before.fileSystem, roomyBytes, 'before')
      const answer = await lowered
      if (typeof answer === 'number') t.ok(answer <= ceilingBytes)
      else t.match(answer, { code: 0, stderr: '' })
      const tookMs = performance.now() - startedMs
      const during = await sampler.restart(ceilingBytes)
      const reads = readers.map(each => each.report().reads)
      await Promise.all(readers.map((each, k) => each.haveRead(reads[k]! + 300, 3 * patienceMs)))
      await until(async () => (await sampler.look()).samples >= samplesMin, patienceMs, `${samplesMin} samples`)
      const after = await sampler.restart(roomyBytes)
      const [{ files, fileSystem }, { riseBytes }] = [after, during.files]
      t.comment(
        `${way}, ${ceilingBytes / MiB} MiB: ${tookMs.toFixed(0)} ms from ${mebibytes(during.files.firstBytes)} MiB; rose by at most ` +
          `${(riseBytes / KiB).toFixed(0)} KiB; then at most ${mebibytes(files.highestBytes)}, file system ${mebibytes(fileSystem.highestBytes)}; ` +
          describePauses(after),
      )
      if (way === 'socket') t.ok(riseBytes <= grantedBytesMax, `${riseBytes} bytes more on the way down`)
      isUnder(t, files, fileSystem, ceilingBytes, 'since the command returned')
    }
    const seen = await Promise.all(readers.map(each => each.stop()))
    for (const { wrong, failed, reads } of seen) t.match({ wrong, failed }, { wrong: [], failed: 0 }, `${reads} reads`)
    await sampler.stop()
  })
}

function isUnder(t: Test, files: Track, fileSystem: Track, ceilingBytes: number, when: string): void {
  t.ok(files.highestBytes <= ceilingBytes, `${when}: files ${files.highestBytes} <= ${ceilingBytes}`)
  t.ok(
    fileSystem.highestBytes <= ceilingBytes,
    `${when}: the file system counts ${fileSystem.highestBytes} <= ${ceilingBytes}`,
  )
}
