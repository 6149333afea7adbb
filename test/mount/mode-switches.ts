/** Modes switched again and again under readers that check every byte, with workers killed in between. */
import { join } from 'node:path'
import t from 'tap'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import { cannotMount, mountDaemon, parentfs, patienceMs, place, statusOf, transport } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'

const skip = cannotMount || (transport === 'kernel' ? false : 'over fuse-native no worker takes over')
const options = { skip, timeout: 240_000 }
t.setTimeout(300_000)

const MiB = 1024 ** 2
const samples = [61, 62].map(seed => ({ seed, sizeBytes: 8 * MiB + 777, dataShare: 0.9 }))
const loadMsMax = 120_000
const modes = ['proxy', 'none', 'promote', 'forward', 'promote', 'none', 'forward', 'proxy']

t.test('switches of mode and deaths under load are seen by nobody', options, async t => {
  const local = place(t)
  const images = new Map<string, readonly Buffer[]>()
  for (const [k, sample] of samples.entries()) {
    writeSample(join(local.originDirectory, `${k}.raw`), sample)
    images.set(`${k}.raw`, [sampleBytes(sample, 0, sample.sizeBytes)])
  }
  const origin = await spawnHttpOrigin({ directory: local.originDirectory, delayMs: 2 })
  t.teardown(() => origin.close())
  const where = { ...local, origin: origin.url }
  // Half of it fits: promotions and evictions go on, and the images become complete now and then.
  await mountDaemon(t, where, '--capacity', `${14 * MiB}`, '--block-size', '4KiB', '--read-ahead', '1MiB')
  const readers = new CheckingReaders({ mountpoint: where.mountpoint, images, count: 6, seed: 9 })
  t.teardown(() => readers.stop())
  await readers.haveRead(50, loadMsMax)
  let switches = 0
  for (const [round, mode] of modes.entries()) {
    const place = round % 3 === 2 ? ['0.raw'] : round % 3 === 1 ? ['--origin', origin.url] : []
    t.match(await parentfs('mode', mode, ...place, '-m', where.mountpoint), { code: 0, stderr: '' })
    switches++
    await readers.haveRead(readers.report().reads + 40, loadMsMax)
    if (round % 3 !== 1) continue
    const { pid } = await statusOf(where)
    process.kill(pid, 'SIGKILL')
    const isNext = async () => {
      const status = await statusOf(where).catch(() => null)
      return status !== null && status.pid !== pid && status.state === 'ready'
    }
    await until(isNext, patienceMs, 'the next worker')
    const { stdout } = await parentfs('mode', '--json', '-m', where.mountpoint)
    const said = (JSON.parse(stdout.toString()) as { scope: string; mode: string }[]).find(
      each => each.scope === 'origin',
    )
    t.equal(said?.mode, mode, 'the word outlives the worker')
  }
  // All take their words back: nothing is kept from now on, whatever was under way.
  for (const place of [['0.raw'], ['--origin', origin.url], []]) {
    t.match(await parentfs('mode', 'proxy', ...place, '-m', where.mountpoint), { code: 0 })
  }
  const { promotion } = await statusOf(where)
  await readers.haveRead(readers.report().reads + 100, loadMsMax)
  t.equal((await statusOf(where)).promotion.promotedBytes, promotion.promotedBytes, 'nothing is kept any more')
  const { reads, failed, wrong, errors } = await readers.stop()
  t.same({ failed, wrong, errors }, { failed: 0, wrong: [], errors: [] }, `${reads} reads over ${switches} switches`)
})
