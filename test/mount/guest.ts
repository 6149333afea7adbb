/**
 * A virtual machine that reads its disk through the mount while worker and supervisor are killed and the worker is
 * upgraded: it sees right bytes, and no error.
 *
 * KILLS=n sets the number of each; SEED=n another sequence.
 */
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, command, parentfs, patienceMs, place, statusOf, transport } from '../fixtures/daemon.ts'
import { noGuest, startGuest } from '../fixtures/guest.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { manyDeathsFile } from '../fixtures/many-deaths.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { startService } from '../fixtures/service-unit.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 ** 2
const kills = Number(process.env.KILLS ?? 1)
const sample = { seed: 91, sizeBytes: 24 * MiB, dataShare: 0.9 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)
const skip = cannotMount || noGuest || (transport === 'kernel' ? false : 'takeover is of the kernel transport')

t.setTimeout(7_200_000)

const name = `a guest lives through ${kills} kills of worker and supervisor each, and as many upgrades (SEED=${seed})`
t.test(name, { skip, timeout: 180_000 + kills * 180_000 }, async t => {
  const random = seeded(seed)
  const local = place(t)
  writeSample(join(local.originDirectory, 'a.raw'), sample)
  const origin = await spawnHttpOrigin({ directory: local.originDirectory, delayMs: 5 })
  t.teardown(() => origin.close())
  const where = { ...local, origin: origin.url }
  // Half of the disk: the guest reads misses all the while, and what was held is evicted.
  const words = [...command, 'mount', '--config', manyDeathsFile(where, '13MiB')]
  const service = await startService(t, where, { storeMax: 4, restartMs: 100, command: words })
  const image = join(where.mountpoint, 'a.raw')
  const guest = await startGuest(t, { image, bytes, directory: local.top, random })
  // The emulator may be slow: each piece has its time.
  const hasReadOne = async () => {
    const seen = guest.right()
    const hasMore = () => guest.right() > seen || guest.isOver()
    await until(hasMore, patienceMs, `another piece: ${guest.log().slice(-500)}`)
  }
  await hasReadOne()
  const events = [
    (worker: number) => void process.kill(worker, 'SIGKILL'),
    async () => t.match(await parentfs('upgrade', where.mountpoint), { code: 0 }),
    () => void process.kill(service.supervisorPid(), 'SIGKILL'),
  ]
  for (let event = 0; event < events.length * kills; event++) {
    for (const wanted = guest.right() + between(random, 1, 30); guest.right() < wanted && !guest.isOver(); ) {
      await hasReadOne()
    }
    const { pid } = await statusOf(where)
    await events[event % events.length]!(pid)
    // Counted once its supervisor has it noted for the next one.
    const isAnother = () =>
      statusOf(where).then(
        now => now.pid !== pid && now.state === 'ready' && now.takeovers.count > event,
        () => false, // Between two supervisors no daemon is there to be asked.
      )
    await until(isAnother, patienceMs, 'another worker')
  }
  const rounds = guest.rounds()
  // The whole disk once more.
  while (guest.rounds() <= rounds + 1 && !guest.isOver()) await hasReadOne()
  t.notOk(guest.isOver(), 'it lives')
  t.same(guest.complaints(), [])
  const { takeovers, eviction } = await statusOf(where)
  t.match(takeovers, { count: events.length * kills })
  t.ok(eviction.objects > 0, 'eviction was under way')
  t.comment(`${guest.right()} pieces right, longest pause ${takeovers.longestPauseMs} ms`)
  await guest.stop()
  t.equal(await service.stop(), 0)
})
