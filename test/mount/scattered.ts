/**
 * Single blocks read all over a large image, each a record of its own. The index stays in its share of the capacity,
 * gives up records for it, and starts again with the rest. OBJECTS=n sets the number of touched objects; the capacity
 * grows with it.
 */
import { closeSync, ftruncateSync, openSync, readdirSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fetchStatus } from '../../src/admin/admin-client.ts'
import { runtimeDirectory, runtimeSurroundings, socketPath } from '../../src/admin/socket-path.ts'
import type { Status } from '../../src/admin/status.ts'
import { IndexDatabase } from '../../src/index/index-database.ts'
import { indexShareMax } from '../../src/store/limits.ts'
import { cannotMount, mountDaemon, patienceMs, place, stop } from '../fixtures/daemon.ts'
import { forEachAtOnce, MountedFile } from '../fixtures/mounted-file.ts'
import { usageOf } from '../fixtures/process-usage.ts'
import { until } from '../fixtures/until.ts'
import { describePauses, startSampler } from '../fixtures/usage-sampler.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const blockBytes = 4 * KiB
const objectBytes = 64 * blockBytes
const objects = Number(process.env.OBJECTS ?? 10_000)
/** A record with its checksum takes 150 bytes or so: 2 % of this are too little for all of them. */
const capacityBytes = Math.max(32 * MiB, objects * 4 * KiB)
/** One block in so many has bytes; the others are zeros, which take a record and no space. */
const dataEvery = 4
/** No common divisor with a power of ten: each object once, never one after its neighbour. */
const stride = 7_919
/**
 * Pages that the file of the index has beyond those in use. A commit writes up to 512 leaves anew, and those before it
 * are free only two commits later. More where recency is saved meanwhile: that is one value.
 */
const sparePagesBytesMax = 8 * MiB + 64 * objects

const offsetOf = (object: number) => object * objectBytes + ((object * 13) % 64) * blockBytes

function expected(object: number): Buffer {
  return object % dataEvery === 0 ? Buffer.alloc(blockBytes, `block of object ${object} `) : Buffer.alloc(blockBytes)
}

t.test(`${objects} scattered blocks: the index keeps to its budget`, { skip: cannotMount, timeout: 0 }, async t => {
  const where = place(t)
  const fd = openSync(join(where.originDirectory, 'a.raw'), 'w')
  ftruncateSync(fd, objects * objectBytes)
  for (let object = 0; object < objects; object += dataEvery) {
    writeSync(fd, expected(object), 0, blockBytes, offsetOf(object))
  }
  closeSync(fd)
  const settings = ['--capacity', `${capacityBytes}`, '--block-size', '4KiB']
  const first = await mountDaemon(t, where, ...settings)
  const socket = socketPath(where.mountpoint, runtimeDirectory(runtimeSurroundings()))
  const status = async () => (await fetchStatus(socket))!
  const sampler = await startSampler(t, where.cacheDirectory, { ceilingBytes: capacityBytes })
  const indexPath = join(where.cacheDirectory, 'index', 'data.mdb')
  const file = await MountedFile.open(t, where.mountpoint, 'a.raw')
  const [wrong, sizes]: [number[], number[]] = [[], []]
  const startedMs = performance.now()
  const places = Array.from({ length: objects }, (_, k) => (k * stride) % objects)
  // A local origin may be faster than promotions: what the store did not take is read again.
  do {
    await forEachAtOnce(places, 16, async (object, k) => {
      const bytes = await file.read({ offset: offsetOf(object), length: blockBytes })
      if (!bytes.equals(expected(object))) wrong.push(object)
      if (k % 100 === 0) sizes.push(statSync(indexPath).blocks * 512)
    })
  } while ((await settled(status)).eviction.objects <= objects / 20 && performance.now() - startedMs < 60_000)
  const seconds = (performance.now() - startedMs) / 1000
  await file.close()
  const { cache, eviction, promotion, pid } = await settled(status)
  const sample = await sampler.stop()
  const share = (bytes: number) => `${((100 * bytes) / capacityBytes).toFixed(2)} %`
  t.comment(
    `${seconds.toFixed(0)} s; of ${capacityBytes / MiB} MiB: index at most ${share(Math.max(...sizes))}, ` +
      `all files at most ${share(sample.highestBytes)}; ${describePauses(sample)}; ${(usageOf(pid).rssAnonBytes / MiB).toFixed(0)} MiB of memory`,
  )
  t.comment(JSON.stringify({ cache, eviction, promotion }))
  t.same(wrong, [], 'every block is right')
  const highestBytes = Math.max(...sizes)
  t.ok(highestBytes <= indexShareMax * capacityBytes + sparePagesBytesMax, `the file of the index: ${highestBytes}`)
  t.ok(sample.highestBytes < 0.7 * capacityBytes, 'no other watermark was reached')
  t.ok(eviction.objects > objects / 20, `${eviction.objects} were evicted, for their records`)
  t.ok(cache.objects > objects / 10, `${cache.objects} stay`)
  t.equal(await stop(first), 0)
  const index = new IndexDatabase(join(where.cacheDirectory, 'index'))
  const { recordBytes, allocatedBytes } = index
  await index.close()
  t.ok(recordBytes <= indexShareMax * capacityBytes, `records take ${recordBytes} of ${indexShareMax * capacityBytes}`)

  const againMs = performance.now()
  const second = await mountDaemon(t, where, ...settings)
  readdirSync(where.mountpoint)
  const upMs = performance.now() - againMs
  const again = await status()
  const { rssAnonBytes, cpuMs } = usageOf(again.pid)
  t.comment(
    `again: ${upMs.toFixed(0)} ms, ${cpuMs} ms of CPU, ${(rssAnonBytes / MiB).toFixed(0)} MiB for ${again.cache.objects} objects; ` +
      `index of ${(allocatedBytes / MiB).toFixed(1)} MiB, ${(recordBytes / MiB).toFixed(1)} in use`,
  )
  t.equal(again.cache.objects, cache.objects)
  t.equal(again.origin.requests, 0)
  t.ok(rssAnonBytes < 200 * MiB + 300 * objects, 'memory')
  t.equal(await stop(second), 0)
})

/** Once nothing is promoted or evicted any more. */
async function settled(status: () => Promise<Status>): Promise<Status> {
  let before = await status()
  const isSettled = async () => {
    await new Promise(resolve => setTimeout(resolve, 300))
    const now = await status()
    const same = now.cache.objects === before.cache.objects && now.gauges.inflightFetches === 0
    before = now
    return same
  }
  await until(isSettled, 5 * patienceMs, 'the end of promotion and eviction')
  return before
}
