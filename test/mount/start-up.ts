/**
 * A warm restart with a full index: time until the mount answers, its memory, and its requests to the origin.
 *
 * OBJECTS=n adds a second index, of n scattered single blocks.
 */
import { closeSync, ftruncateSync, openSync, readSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Image } from '../../src/base/image.ts'
import { indexHighShare } from '../../src/cache/evict/limits.ts'
import { IndexDatabase } from '../../src/index/index-database.ts'
import { indexShareMax } from '../../src/store/limits.ts'
import {
  cannotMount,
  isRunning,
  mountArguments,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
} from '../fixtures/daemon.ts'
import { type FilledOptions, fillCache } from '../fixtures/filled-cache.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { kill } from '../fixtures/kills.ts'
import { type ProcessUsage, usageOf } from '../fixtures/process-usage.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount, timeout: 290_000 }
const [KiB, MiB, GiB] = [1024, 1024 ** 2, 1024 ** 3]
const scattered = Number(process.env.OBJECTS ?? 0)
/** Evictions have ended when none came for so long. */
const restMs = 3000

interface Started {
  readonly wallMs: number
  readonly worker: ProcessUsage
  readonly supervisor: ProcessUsage
  readonly requests: number
}

/** Fill a cache for an image of zeros with that many objects, each `every` objects one. */
async function filledPlace(
  t: Test,
  {
    blockBytes,
    blocks,
    objects,
    every,
  }: Pick<FilledOptions, 'blockBytes' | 'blocks'> & { objects: number; every: number },
): Promise<[Place, HttpOriginServer, Image]> {
  const local = place(t)
  const sizeBytes = objects * every * 64 * blockBytes
  const fd = openSync(join(local.originDirectory, 'a.raw'), 'w')
  ftruncateSync(fd, sizeBytes)
  closeSync(fd)
  const origin = await spawnHttpOrigin({ directory: local.originDirectory })
  t.teardown(() => origin.close())
  const numbers = function* () {
    for (let k = 0; k < objects; k++) yield k * every
  }
  const facts = { origin: origin.url, key: 'a.raw', sizeBytes, validator: '"weeks ago"', modifiedMs: 0 }
  const image = await fillCache({ directory: local.cacheDirectory, blockBytes, blocks, facts, objects: numbers() })
  return [{ ...local, origin: origin.url }, origin, image]
}

/** From the exec of the command to the first stat that answers. */
async function startUp(t: Test, where: Place, origin: HttpOriginServer, ...more: string[]): Promise<Started> {
  await origin.reset()
  const startedMs = performance.now()
  const ran = await parentfs(...mountArguments(where, '--background', ...more))
  t.match(ran, { code: 0, stderr: '' })
  if (ran.code !== 0) throw new Error(ran.stderr)
  statSync(join(where.mountpoint, 'a.raw'))
  const wallMs = performance.now() - startedMs
  const { pid, supervisorPid } = await statusOf(where)
  return {
    wallMs,
    worker: usageOf(pid),
    supervisor: usageOf(supervisorPid),
    requests: (await origin.counters()).requests,
  }
}

function figuresOf({ wallMs, worker, supervisor, requests }: Started): string {
  return (
    `${wallMs.toFixed(0)} ms to the first stat; worker ${figuresOfUsage(worker)}; ` +
    `supervisor ${figuresOfUsage(supervisor)}; ${requests} requests`
  )
}

function figuresOfUsage({ cpuMs, rssAnonBytes }: ProcessUsage): string {
  return `${cpuMs} ms of CPU, ${(rssAnonBytes / MiB).toFixed(0)} MiB`
}

/** Room that the index needs within its share of capacity; a file system that is too small cannot hold the ceiling. */
function lacks(capacityBytes: number): string | false {
  const { blocks, bsize } = statfsSync('/tmp')
  return blocks * bsize > capacityBytes * 1.1 ? false : `the file system has less than ${capacityBytes / GiB} GiB`
}

t.test('262,144 objects are ready soon, in little memory, without the origin', options, async t => {
  const objects = 262_144
  const [where, origin] = await filledPlace(t, { blockBytes: 64 * KiB, blocks: 2n ** 64n - 1n, objects, every: 1 })
  const capacity = ['--capacity', '14GiB']
  const inode = () => statSync(join(where.cacheDirectory, 'index/data.mdb')).ino
  const before = inode()
  for (const run of ['after a clean stop', 'after kill -9']) {
    const started = await startUp(t, where, origin, ...capacity)
    t.comment(`${run}: ${figuresOf(started)}; aim 1000 ms (2000 after kill -9) and 200 MiB`)
    t.equal(started.requests, 0)
    // Twice as much where both threads of a core have much to do.
    t.ok(started.worker.cpuMs + started.supervisor.cpuMs < (run === 'after kill -9' ? 4000 : 3000), 'CPU time')
    t.ok(started.worker.rssAnonBytes < 200 * MiB, 'memory')
    t.equal(inode(), before, 'the index was not copied')
    const { pid, supervisorPid, ...status } = await statusOf(where)
    t.match(status, { cache: { objects }, scrub: { corruptBlocks: 0 }, eviction: { objects: 0 } })
    if (run === 'after kill -9') break
    for (const victim of [supervisorPid, pid]) kill(victim)
    await until(() => ![supervisorPid, pid].some(isRunning), patienceMs, 'the end')
  }
  await readsZeros(t, where, origin)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
})

/** Held blocks are served once they are verified, and the origin is still not asked. */
async function readsZeros(t: Test, where: Place, origin: HttpOriginServer): Promise<void> {
  const fd = openSync(join(where.mountpoint, 'a.raw'), 'r')
  const bytes = Buffer.alloc(MiB, 1)
  t.equal(readSync(fd, bytes, 0, MiB, 512 * GiB + 5), MiB)
  closeSync(fd)
  t.ok(bytes.equals(Buffer.alloc(MiB)))
  t.equal((await origin.counters()).requests, 0)
}

const skipScattered =
  scattered === 0 ? 'OBJECTS=2000000 starts with that many scattered blocks' : options.skip || lacks(40 * GiB)
t.test(`${scattered} scattered blocks of 4 KiB`, { skip: skipScattered, timeout: 0 }, async t => {
  const shape = { blockBytes: 4 * KiB, blocks: 2n ** 17n, objects: scattered, every: 7 }
  const [where, origin] = await filledPlace(t, shape)
  const started = await startUp(t, where, origin, '--capacity', '40GiB', '--block-size', '4KiB')
  t.comment(figuresOf(started))
  t.equal(started.requests, 0)
  const perObject = started.worker.rssAnonBytes / scattered
  // 112 of them are the table, of 16 bytes for each of the seven objects around it.
  t.ok(perObject < 250 + (100 * MiB) / scattered, `${perObject.toFixed(0)} bytes an object`)
  t.match(await statusOf(where), { cache: { objects: scattered }, eviction: { objects: 0 } })
  // 2 % of 40 GiB hold all records, of this no more than one in three.
  const lowered = `${Math.max(256 * MiB, scattered * 2560)}`
  const startedMs = performance.now()
  t.match(await parentfs('set', 'capacity', where.mountpoint, lowered), { code: 0 })
  let [last, lastMs] = [-1, 0]
  await until(
    async () => {
      const { stdout } = await parentfs('metrics', where.mountpoint)
      const indexBytes = Number(/^parentfs_cache_index_bytes (\S+)$/m.exec(String(stdout))?.[1])
      const { eviction } = await statusOf(where)
      if (eviction.objects !== last) lastMs = performance.now()
      last = eviction.objects
      return indexBytes <= indexShareMax * indexHighShare * Number(lowered) && performance.now() - lastMs > restMs
    },
    scattered,
    'an index within its share',
  )
  const { cache, pid } = await statusOf(where)
  t.comment(
    `at ${Number(lowered) / MiB} MiB: ${last} evicted for their records, ${cache.objects} stay, ${((performance.now() - startedMs) / 1000).toFixed(1)} s; ` +
      `worker ${figuresOfUsage(usageOf(pid))}`,
  )
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  const index = new IndexDatabase(join(where.cacheDirectory, 'index'))
  const { recordBytes, allocatedBytes } = index
  await index.close()
  t.comment(`records take ${(recordBytes / MiB).toFixed(1)} MiB, the file ${(allocatedBytes / MiB).toFixed(1)}`)
  t.ok(recordBytes <= indexShareMax * Number(lowered), 'the budget holds')
  const again = await startUp(t, where, origin, '--capacity', lowered, '--block-size', '4KiB')
  t.comment(figuresOf(again))
  t.match(await statusOf(where), { cache: { objects: cache.objects } })
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
})
