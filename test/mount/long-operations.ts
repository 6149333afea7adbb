/** Commands that take long, while the worker that does their work is killed, upgraded or unmounted. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, mountDaemon, parentfs, patienceMs, place, statusOf, stop, transport } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 ** 2
const sample = { seed: 17, sizeBytes: 48 * MiB, dataShare: 1 }
const skip = cannotMount || (transport === 'kernel' ? false : 'takeover is of the kernel transport')

/** An origin that takes its time, and a promotion that has begun. */
async function setUp(t: Test) {
  const local = place(t)
  writeSample(join(local.originDirectory, 'a.raw'), sample)
  const origin = await spawnHttpOrigin({ directory: local.originDirectory, delayMs: 400 })
  t.teardown(() => origin.close())
  const where = { ...local, origin: origin.url }
  const daemon = await mountDaemon(t, where)
  const promoted = parentfs('promote', join(where.mountpoint, 'a.raw'))
  const held = async () => (await statusOf(where)).images[0]?.residentBytes ?? 0
  await until(async () => (await held()) > 4 * MiB, patienceMs, 'the promotion')
  return { where, daemon, promoted }
}

t.test('a promotion goes on with the next worker, of whichever version', { skip }, async t => {
  const { where, daemon, promoted } = await setUp(t)
  const { pid } = await statusOf(where)
  process.kill(pid, 'SIGKILL')
  // It answers before it serves: the upgrade waits for it.
  await until(async () => (await statusOf(where)).pid !== pid, patienceMs, 'another worker')
  t.match(await parentfs('upgrade', where.mountpoint), { code: 0 })
  t.match(await promoted, { code: 0, stdout: /the image is complete/ })
  t.equal((await statusOf(where)).images[0]!.complete, true)
  t.match((await statusOf(where)).takeovers, { count: 2 })
  t.equal(await stop(daemon), 0)
})

t.test('where nobody follows, it says what to do', { skip }, async t => {
  const { daemon, promoted } = await setUp(t)
  t.equal(await stop(daemon), 0)
  t.match(await promoted, { code: 1, stderr: /the daemon stopped before it was done: run the command again/ })
})
