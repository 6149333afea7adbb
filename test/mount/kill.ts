/**
 * kill -9 under load, again and again on one cache directory: after each, the next mount cleans up what is left, serves
 * right bytes only, and stays under the ceiling.
 * KILLS=n sets how many; SEED=n another sequence.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runtimeDirectory, runtimeSurroundings, socketPath } from '../../src/admin/socket-path.ts'
import { CheckedFile } from '../fixtures/checked-file.ts'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import { cannotMount, isGone, mountDaemon, type Place, place, statusOf, stop } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { killDaemon, killWays } from '../fixtures/kills.ts'
import { forEachAtOnce } from '../fixtures/mounted-file.ts'
import { isStillRunning, usageOf } from '../fixtures/process-usage.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { sampleUsage, type UsageSample } from '../fixtures/usage-sampler.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const kills = Number(process.env.KILLS ?? 5)
const capacityBytes = 20 * MiB
const samples = {
  'a.raw': { seed: 31, sizeBytes: 20 * MiB + 333, dataShare: 0.9 },
  'b.raw': { seed: 32, sizeBytes: 12 * MiB, dataShare: 0.9 },
}
const images = new Map(
  Object.entries(samples).map(([name, image]) => [name, [sampleBytes(image, 0, image.sizeBytes)] as const]),
)
const loadMsMax = 60_000

/** Read everything, first to last. @returns how many reads were not right */
async function sweep(where: Place): Promise<number> {
  let wrong = 0
  for (const [name, versions] of images) {
    const file = await CheckedFile.open(where.mountpoint, name, versions)
    const offsets = Array.from({ length: Math.ceil(file.sizeBytes / (256 * KiB)) }, (_, k) => k * 256 * KiB)
    await forEachAtOnce(offsets, 4, async offset => {
      if ((await file.read({ offset, length: 256 * KiB }, 'direct')) !== 'right') wrong++
    })
    await file.close()
  }
  return wrong
}

// For any number of them: the user that runs this file has a limit too.
t.setTimeout(3_600_000)

t.test(
  `${kills} kills under load: right bytes, the ceiling, nothing left (SEED=${seed})`,
  { skip: cannotMount, timeout: 60_000 + kills * 30_000 },
  async t => {
    const random = seeded(seed)
    const local = place(t)
    for (const [name, image] of Object.entries(samples)) writeSample(join(local.originDirectory, name), image)
    const origin = await spawnHttpOrigin({ directory: local.originDirectory })
    t.teardown(() => origin.close())
    const where = { ...local, origin: origin.url }
    let finish: (() => Promise<UsageSample>) | null = null
    const arguments_ = ['--capacity', `${capacityBytes}`, '--block-size', '4KiB']
    const totals = { reads: 0, failed: 0, evicted: 0, fetchedMiB: 0 }
    let heldBefore = 0
    const old: [pid: number, startTicks: number][] = []
    for (let kill = 0; kill < kills; kill++) {
      const daemon = await mountDaemon(t, where, ...arguments_)
      const booted = await statusOf(where)
      const pids = [booted.pid, daemon.supervisorPid]
      const processes = pids.map(pid => [pid, usageOf(pid).startTicks] as [number, number])
      finish ??= await sampleUsage(t, where.cacheDirectory)
      t.notOk(
        old.some(each => isStillRunning(...each)),
        'nothing of earlier ones runs',
      )
      const heldAfter = booted.images.reduce((sum, { residentBytes }) => sum + residentBytes, 0)
      // Twice: what the first one fetched again is promoted or evicted, and neither may harm what the second one reads.
      t.equal((await sweep(where)) + (kill % 2 ? await sweep(where) : 0), 0, 'every byte is right')
      const swept = await statusOf(where)
      const readers = new CheckingReaders({ mountpoint: where.mountpoint, images, count: 4, seed: seed + kill })
      const way = killWays[kill % killWays.length]!
      await readers.haveRead(between(random, 50, 1500), loadMsMax)
      const before = await statusOf(where)
      await killDaemon(way, where, daemon, booted.pid)
      const { reads, failed, wrong } = await readers.stop()
      t.same(wrong, [], `${way}: no wrong byte while it died`)
      t.equal(before.scrub.corruptBlocks, 0, 'no record without its bytes')
      const lost = (Math.max(0, heldBefore - heldAfter) / MiB).toFixed(2)
      const again = (swept.origin.bytes / MiB).toFixed(1)
      t.comment(
        `${kill}: ${(heldAfter / MiB).toFixed(2)} MiB were held, ${lost} lost; reading all fetched ${again} MiB;` +
          ` ${reads} reads, ${before.eviction.objects} evicted, kill of ${way}, ${failed} failed`,
      )
      totals.reads += reads
      totals.failed += failed
      totals.evicted += before.eviction.objects
      totals.fetchedMiB += Math.round(before.origin.bytes / MiB)
      heldBefore = before.images.reduce((sum, { residentBytes }) => sum + residentBytes, 0)
      old.push(...processes)
    }
    const last = await mountDaemon(t, where, ...arguments_)
    const { pid } = await statusOf(where)
    t.equal(await sweep(where), 0)
    t.equal(await stop(last), 0)
    t.ok(await isGone(where, pid, last.supervisorPid))
    t.notOk(existsSync(socketPath(where.mountpoint, runtimeDirectory(runtimeSurroundings()))), 'no socket')
    const { samples: looks, highestBytes } = await finish!()
    t.comment(
      `${JSON.stringify(totals)}; at most ${(highestBytes / MiB).toFixed(2)} of ${capacityBytes / MiB} MiB in ${looks} looks`,
    )
    t.ok(highestBytes <= capacityBytes, `${highestBytes} <= ${capacityBytes}`)
    t.ok(totals.evicted > 50 && totals.reads > 50 * kills, 'there was a load')
  },
)
