/**
 * Images that are replaced at their origin while they are open, again and again, on a cache much smaller than all
 * versions. The file system's own count, deleted open files included, stays under the capacity.
 */
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, mountDaemon, place, statusOf } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { makeLoopDisk } from '../fixtures/loop-disk.ts'
import { forEachAtOnce, MountedFile } from '../fixtures/mounted-file.ts'
import { seed } from '../fixtures/seeded.ts'
import { describePauses, startSampler } from '../fixtures/usage-sampler.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const capacityBytes = 20 * MiB
const sizeBytes = 16 * MiB + 99
const readBytes = 128 * KiB
/** With CHURN=10 more of them, and XFS too. */
const churn = Number(process.env.CHURN ?? 0)
const versions = churn < 10 ? 4 : 10
const names = ['a.raw', 'b.raw']

for (const type of churn < 10 ? (['ext4'] as const) : (['ext4', 'xfs'] as const)) {
  t.test(`${type}: replaced while open (SEED=${seed})`, { skip: cannotMount, timeout: 600_000 }, async t => {
    const disk = await makeLoopDisk(t, type, 400 * MiB)
    const where = { ...place(t), cacheDirectory: join(disk.mountpoint, 'cache') }
    const versionOf = (name: string, k: number) => ({
      seed: seed + k * names.length + names.indexOf(name),
      sizeBytes,
      dataShare: 1,
    })
    for (const name of names) writeSample(join(where.originDirectory, name), versionOf(name, 0))
    const emptyBytes = disk.takenBytes()
    await mountDaemon(t, where, '--capacity', `${capacityBytes}`, '--block-size', '4KiB', '--revalidate', '0s')
    const sampler = await startSampler(t, where.cacheDirectory, { ceilingBytes: capacityBytes, emptyBytes })
    const open: { file: MountedFile; bytes: Buffer; name: string }[] = []
    const seen = { right: 0, refused: 0, wrong: 0 }
    for (let k = 0; k < versions; k++) {
      for (const name of names) {
        if (k > 0) {
          const path = join(where.originDirectory, name)
          writeSample(`${path}.new`, versionOf(name, k))
          renameSync(`${path}.new`, path)
        }
      }
      // The kernel keeps a name for a second.
      if (k > 0) await new Promise(resolve => setTimeout(resolve, 1100))
      for (const name of names) {
        const file = await MountedFile.open(t, where.mountpoint, name)
        open.push({ file, name, bytes: sampleBytes(versionOf(name, k), 0, sizeBytes) })
      }
      // All open versions side by side: the new ones come from the origin, the old ones from their held bytes.
      const offsets = Array.from({ length: Math.ceil(sizeBytes / readBytes) }, (_, k) => k * readBytes)
      await Promise.all(
        open.map(({ file, bytes }) =>
          forEachAtOnce(offsets, 2, async offset => {
            const got = await file.read({ offset, length: readBytes }).catch(() => null)
            if (got === null) seen.refused++
            else if (got.equals(bytes.subarray(offset, offset + readBytes))) seen.right++
            else seen.wrong++
          }),
        ),
      )
    }
    const { eviction, promotion } = await statusOf(where)
    await Promise.all(open.map(({ file }) => file.close()))
    const { files, fileSystem, ...pauses } = await sampler.stop()
    const mebibytes = ({ highestBytes }: { highestBytes: number }) => (highestBytes / MiB).toFixed(2)
    t.comment(`files at most ${mebibytes(files)}, file system ${mebibytes(fileSystem)} of ${capacityBytes / MiB} MiB`)
    t.comment(`${describePauses({ files, fileSystem, ...pauses })}; ${JSON.stringify({ seen, eviction, promotion })}`)
    t.equal(seen.wrong, 0)
    t.ok(seen.right > versions * names.length * 100, `${seen.right} reads were right`)
    // The number beyond once is a matter of speed: while eviction makes room, promotions are dropped.
    t.ok(promotion.promotedBytes > capacityBytes && eviction.bytes > 0, 'more was promoted than there is room for')
    t.ok(files.highestBytes <= capacityBytes, `files: ${files.highestBytes}`)
    t.ok(fileSystem.highestBytes <= capacityBytes, `file system: ${fileSystem.highestBytes}`)
    t.ok(fileSystem.highestBytes > 0.6 * capacityBytes, 'the cache was used')
  })
}
