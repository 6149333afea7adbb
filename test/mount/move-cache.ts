/** The cache of a mount in use moves to another directory; a worker that dies on the way leaves one of the two. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Status } from '../../src/admin/status.ts'
import { nameSecondsValid } from '../../src/base/limits.ts'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import {
  cannotMount,
  capabilities,
  makeComplete,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
  transport,
} from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { openPassed } from '../fixtures/passed.ts'
import { childrenOf } from '../fixtures/process-usage.ts'
import { until } from '../fixtures/until.ts'

const skip = cannotMount || (transport === 'kernel' ? false : 'over fuse-native no worker takes over')
const options = { skip, timeout: 240_000 }
const passing = { ...options, skip: skip || (capabilities.passthrough ? false : 'this transport has no passthrough') }
t.setTimeout(600_000)

const MiB = 1024 ** 2
const sample = { seed: 51, sizeBytes: 8 * MiB + 777, dataShare: 0.9 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)
const loadMsMax = 120_000

async function mounted(t: Test, ...more: string[]) {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), sample)
  const daemon = await mountDaemon(t, where, ...more)
  const images = new Map([['a.raw', [bytes]]])
  const readers = new CheckingReaders({ mountpoint: where.mountpoint, images, count: 4, seed: 7, restMs: 2 })
  t.teardown(() => readers.stop())
  const move = (to: string) => parentfs('move-cache', to, '-m', where.mountpoint)
  return { where, daemon, readers, move }
}

async function directoryOf(where: Place): Promise<string> {
  return (await statusOf(where)).cache.directory
}

t.test('under load nobody sees the move; pins and modes go along, the old directory is empty', options, async t => {
  const { where, readers, move } = await mounted(t)
  await readers.haveRead(50, loadMsMax)
  t.match(await parentfs('pin', 'a.raw', '-m', where.mountpoint), { code: 0 })
  const other = join(where.top, 'other')
  const moved = await move(other)
  t.match(moved, { code: 0, stdout: /the cache is in .*other, .*cache is empty; readers waited for \d+ ms\n/ })
  t.equal(await directoryOf(where), other)
  t.same(readdirSync(where.cacheDirectory), [], 'the old directory is clean')
  await readers.haveRead(readers.report().reads + 50, loadMsMax)
  const { images, takeovers } = await statusOf(where)
  t.match(images, [{ name: 'a.raw', pinned: true, mode: 'promote' }])
  t.match(takeovers, { refusedUpgrade: null })
  t.match(await parentfs('mode', 'proxy', '-m', where.mountpoint), { code: 0 })
  // And back, after a death in between: the new directory is the one in force.
  process.kill((await statusOf(where)).pid, 'SIGKILL')
  t.equal(await directoryOf(where), other)
  t.match(await move(where.cacheDirectory), { code: 0 })
  t.equal(await directoryOf(where), where.cacheDirectory)
  t.match((await statusOf(where)).images, [{ mode: 'proxy', pinned: true }])
  const { reads, failed, wrong, errors } = await readers.stop()
  t.same({ failed, wrong, errors }, { failed: 0, wrong: [], errors: [] }, `${reads} reads`)
})

t.test('workers killed at every step of a move leave the old directory in force, or the new one', options, async t => {
  const { where, daemon, readers, move } = await mounted(t)
  await readers.haveRead(20, loadMsMax)
  const outcomes = { old: 0, new: 0 }
  for (let round = 0; round < 6; round++) {
    const from = await directoryOf(where)
    const to = join(where.top, `to-${round}`)
    const before = childrenOf(daemon.supervisorPid)
    const moving = move(to)
    // The worker that asks; then the one that prepares, boots, serves, and empties the old directory.
    const isNext = () => childrenOf(daemon.supervisorPid).find(pid => !before.includes(pid))
    await until(() => isNext() !== undefined, patienceMs, 'another worker')
    await new Promise(resolve => setTimeout(resolve, round * 150))
    const victim = round === 0 ? before[0]! : (isNext() ?? before[0]!)
    process.kill(victim, 'SIGKILL')
    await moving
    const isSettled = ({ state, cache }: Status) => state === 'ready' && cache.movedFrom === null
    const settled = async () => {
      const status = await statusOf(where).catch(() => null)
      return status !== null && isSettled(status) && childrenOf(daemon.supervisorPid).length === 1
    }
    await until(settled, patienceMs, 'a worker that serves')
    const now = await directoryOf(where)
    t.ok([from, to].includes(now), `one of the two, not ${now}`)
    outcomes[now === to ? 'new' : 'old']++
    if (now === to) t.same(readdirSync(from), [], 'the one that was left is clean')
    await readers.haveRead(readers.report().reads + 10, loadMsMax)
    // A move that failed can be tried again.
    if (now === from && round % 2 === 1) t.match(await move(to), { code: 0 })
  }
  t.comment(JSON.stringify(outcomes))
  const { reads, failed, wrong, errors } = await readers.stop()
  t.same({ failed, wrong, errors }, { failed: 0, wrong: [], errors: [] }, `${reads} reads`)
})

t.test(
  'a reader of the kernel goes on at the old file; once it has closed, the kernel reads the new one',
  passing,
  async t => {
    const { where, readers, move } = await mounted(t)
    await readers.stop()
    await makeComplete(where, 'a.raw')
    const handle = await openPassed(t, where, 'a.raw')
    const other = join(where.top, 'other')
    t.match(await move(other), { code: 0 })
    t.same(readdirSync(where.cacheDirectory), [])
    await until(async () => (await statusOf(where)).passthrough.off === '', patienceMs, 'passthrough after a takeover')
    await makeComplete(where, 'a.raw')
    const images = new Map([['a.raw', [bytes]]])
    const again = new CheckingReaders({ mountpoint: where.mountpoint, images, count: 4, seed: 8, restMs: 2 })
    // The kernel asks for a name anew when the answer of before has expired, and gets the node that is opened.
    const lookups = 3
    const endMs = Date.now() + lookups * nameSecondsValid * 1000
    await until(() => Date.now() >= endMs, patienceMs, 'some lookups')
    await again.haveRead(again.report().reads + 300, loadMsMax)
    const { failed, wrong, errors } = await again.stop()
    t.same({ failed, wrong, errors }, { failed: 0, wrong: [], errors: [] })
    t.match((await statusOf(where)).passthrough, { off: '', opens: 0 }, 'two files on one node would be EIO')
    const isRight = async (from: typeof handle) => {
      const buffer = Buffer.alloc(sample.sizeBytes)
      await from.read(buffer, 0, buffer.length, 0)
      return buffer.equals(bytes)
    }
    t.ok(await isRight(handle))
    await handle.close()
    const passed = await openPassed(t, where, 'a.raw')
    t.ok(await isRight(passed), 'of the new file')
    // The next worker finds that one in use, and later free.
    process.kill((await statusOf(where)).pid, 'SIGKILL')
    await until(async () => (await statusOf(where)).passthrough.off === '', patienceMs, 'passthrough after a death')
    t.ok(await isRight(passed))
    t.match((await statusOf(where)).passthrough, { openNow: 0, images: 1 })
    await passed.close()
    await makeComplete(where, 'a.raw')
    t.ok(await isRight(await openPassed(t, where, 'a.raw')))
  },
)

t.test('a directory that cannot take the cache is refused, and nothing has changed', options, async t => {
  const { where, readers, move } = await mounted(t)
  const foreign = join(where.top, 'foreign')
  mkdirSync(foreign)
  writeFileSync(join(foreign, 'letter'), 'dear')
  t.match(await move(foreign), { code: 1, stderr: /foreign is not empty/ })
  t.match(await move(join(where.cacheDirectory, 'below')), { code: 1, stderr: /lie in each other/ })
  t.match(await move(where.cacheDirectory), { code: 1, stderr: /lie in each other/ })
  t.match(await move(join(where.mountpoint, 'x')), { code: 1, stderr: /lies in the mountpoint/ })
  t.equal(await directoryOf(where), where.cacheDirectory)
  t.ok(existsSync(join(foreign, 'letter')))
  t.equal((await statusOf(where)).takeovers.count, 0)
  await readers.haveRead(10, loadMsMax)
  t.match(await readers.stop(), { failed: 0, wrong: [] })
})
