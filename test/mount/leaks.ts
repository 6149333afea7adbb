/**
 * Nothing leaks: after many mixed operations the worker holds what it held before them, and mounts that have gone leave
 * nothing behind.
 * OPERATIONS=n and CYCLES=n set how many; SEED=n another sequence.
 */
import { existsSync, readdirSync } from 'node:fs'
import { open, readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fetchStatus } from '../../src/admin/admin-client.ts'
import { runtimeDirectory, runtimeSurroundings, socketPath } from '../../src/admin/socket-path.ts'
import type { Status } from '../../src/admin/status.ts'
import { mountAt } from '../../src/daemon/mount/mount-table.ts'
import { CheckedFile } from '../fixtures/checked-file.ts'
import { cannotMount, isGone, logs, mountDaemon, type Place, patienceMs, place, stop } from '../fixtures/daemon.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { drawRanges, forEachAtOnce } from '../fixtures/mounted-file.ts'
import { descriptorsOf, type ProcessUsage, usageOf } from '../fixtures/process-usage.ts'
import { attempt } from '../fixtures/run.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 ** 2
const operations = Number(process.env.OPERATIONS ?? 20_000)
const cycles = Number(process.env.CYCLES ?? 8)
const sample = { seed: 41, sizeBytes: 24 * MiB + 99, dataShare: 0.9 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)
const names = ['a.raw', 'b.raw']
const settleMsMax = 60_000

async function mountedImages(t: Test): Promise<[Place, HttpOriginServer, string]> {
  const local = place(t)
  for (const name of names) writeSample(join(local.originDirectory, name), sample)
  const origin = await spawnHttpOrigin({ directory: local.originDirectory, delayMs: 1 })
  t.teardown(() => origin.close())
  return [
    { ...local, origin: origin.url },
    origin,
    socketPath(local.mountpoint, runtimeDirectory(runtimeSurroundings())),
  ]
}

/** Without a process for each question. */
async function ask(socket: string): Promise<Status> {
  const status = await fetchStatus(socket)
  if (!status) throw new Error('no daemon is there')
  return status
}

/** One operation, drawn. Whatever it opens it closes. @returns whether what it saw was right */
async function operate({ mountpoint }: Place, random: () => number): Promise<boolean> {
  const name = names[between(random, 0, names.length)]!
  const path = join(mountpoint, name)
  const chance = random()
  if (chance < 0.2) {
    const file = await CheckedFile.open(mountpoint, name, [bytes])
    let right = true
    for (const range of drawRanges(random, bytes.length, 4)) {
      right &&= (await file.read(range, random() < 0.5 ? 'direct' : 'buffered')) === 'right'
    }
    await file.close()
    return right
  }
  if (chance < 0.35) return (await readdir(mountpoint)).length === names.length
  if (chance < 0.55) return (await stat(join(mountpoint, `missing-${random()}`)).catch(missing)) === null
  if (chance < 0.7) return (await statfs(mountpoint)).bsize > 0
  if (chance < 0.85) return (await stat(path)).size === bytes.length
  // A write is refused; a handle that is opened and closed unread.
  if (chance < 0.9) return (await open(path, 'r+').catch(refused)) === null
  await (await open(path, 'r')).close()
  if (chance > 0.998) return abandonReads(path)
  return true
}

/** The caller ends its thousand mounts. */
const silent = { teardown: () => {} } as unknown as Test

const missing = (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? null : Promise.reject(error))
const refused = (error: NodeJS.ErrnoException) => (error.code === 'EROFS' ? null : Promise.reject(error))

/** Readers that are killed in the middle of what they read; and attributes, by the tool that asks for all of them. */
async function abandonReads(path: string): Promise<boolean> {
  const dd = (flag: string) => ['-s', 'KILL', '0.05', 'dd', `if=${path}`, 'of=/dev/null', 'bs=1M', ...flag.split(' ')]
  const ended = await Promise.all(['iflag=direct', 'iflag=fullblock'].map(flag => attempt('timeout', ...dd(flag))))
  const { code } = await attempt('ls', '-lZ', path)
  // 137 or SIGKILL, as timeout(1) likes; 0 for one that was fast enough.
  return code === 0 && ended.every(each => [0, 137, null].includes(each.code))
}

/** Resources of the worker once no request waits. */
async function settled(socket: string): Promise<ProcessUsage & { readonly gauges: Status['gauges'] }> {
  const isIdle = async () => {
    const { gauges, promotion } = await ask(socket)
    const { nodes, ...held } = gauges
    return promotion.queuedBytes === 0 && Object.values(held).every(value => value === 0)
  }
  await until(isIdle, settleMsMax, 'an idle worker')
  const { gauges, pid } = await ask(socket)
  return { ...usageOf(pid), gauges }
}

/** Run so many operations, 16 at once. @returns how many were not right */
async function operateMany(where: Place, count: number, start: number): Promise<number> {
  let wrong = 0
  const seeds = Array.from({ length: count }, (_, k) => start + k)
  await forEachAtOnce(seeds, 16, async each => {
    if (!(await operate(where, seeded(each)))) wrong++
  })
  return wrong
}

t.test(
  `${operations} operations leave the worker as it was (SEED=${seed})`,
  { skip: cannotMount, timeout: 0 },
  async t => {
    const [where, origin, socket] = await mountedImages(t)
    const daemon = await mountDaemon(t, where, '--capacity', '32MiB', '--block-size', '4KiB', '--revalidate', '1s')
    const tenth = Math.ceil(operations / 10)
    // Pools, caches and compiled code have grown to their size after these.
    t.equal(await operateMany(where, 3 * tenth, seed), 0)
    // The supervisor copies the program some seconds after its start, file by file.
    await logs(daemon, /workers start from a copy of the program/)
    const before = await settled(socket)
    const { pid, supervisorPid } = await ask(socket)
    const descriptors = descriptorsOf(pid)
    const supervisorBefore = usageOf(supervisorPid)
    t.equal(await operateMany(where, 7 * tenth, seed + operations), 0, 'everything was right')
    const after = await settled(socket)
    const { reads, eviction } = await ask(socket)
    t.comment(JSON.stringify({ before, after, reads, eviction, requests: (await origin.counters()).requests }))
    // Connections to the origin come and go, and so does the scrub's own way to each data file.
    const lasting = (list: readonly string[]) => [...new Set(list.filter(name => !name.startsWith('socket:')))]
    t.same(lasting(descriptorsOf(pid)), lasting(descriptors), 'the same descriptors')
    t.ok(after.descriptors <= before.descriptors + 64, `${after.descriptors} descriptors after ${before.descriptors}`)
    t.equal(after.threads, before.threads, 'threads')
    t.ok(after.gauges.nodes <= names.length, `${after.gauges.nodes} nodes`)
    const grownMiB = (after.rssAnonBytes - before.rssAnonBytes) / MiB
    t.ok(grownMiB < 48, `memory: ${grownMiB.toFixed(1)} MiB more`)
    const supervisor = usageOf(supervisorPid)
    t.same(
      [supervisor.descriptors, supervisor.threads],
      [supervisorBefore.descriptors, supervisorBefore.threads],
      'the supervisor',
    )
    t.ok(
      reads.hits > operations / 20 && reads.misses > operations / 100 && eviction.objects > 10,
      'everything happened',
    )
  },
)

t.test(`${cycles} mounts and unmounts leave nothing`, { skip: cannotMount, timeout: 0 }, async t => {
  const [where, origin, socket] = await mountedImages(t)
  const own = usageOf(process.pid)
  const files = new Set<string>()
  for (let cycle = 0; cycle < cycles; cycle++) {
    const daemon = await mountDaemon(silent, where, '--revalidate', '0s')
    const { pid } = await ask(socket)
    const file = await CheckedFile.open(where.mountpoint, 'a.raw', [bytes])
    const outcome = await file.read({ offset: (cycle % 20) * MiB, length: MiB }, 'direct')
    await file.close()
    if (outcome !== 'right') t.fail(`cycle ${cycle}: ${outcome}`)
    const code = await stop(daemon)
    if (code !== 0) t.fail(`cycle ${cycle}: exit ${code}: ${daemon.log()}`)
    const gone = (await isGone(where, pid, daemon.supervisorPid)) && !existsSync(socket)
    if (!gone) t.fail(`cycle ${cycle}: something is left`)
    files.add(readdirSync(where.cacheDirectory, { recursive: true }).sort().join('\n'))
    if (!t.passing()) break
    if (cycle % 100 === 99) t.comment(`${cycle + 1} cycles`)
  }
  t.equal(await mountAt(where.mountpoint), null)
  t.equal(files.size, 1, 'the same files in the cache directory after each')
  const isAsBefore = () => usageOf(process.pid).descriptors <= own.descriptors
  await until(isAsBefore, patienceMs, `${own.descriptors} descriptors in this process`)
  t.ok((await origin.counters()).requests > 0)
})
