/**
 * Workers that die one after the other on a real mount: the cache is bypassed, then the mount goes. Kills from outside
 * lead to neither.
 */
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import {
  cannotMount,
  command,
  isGone,
  logs,
  mountDaemon,
  patienceMs,
  place,
  startCommand,
  statusOf,
  stop,
  transport,
} from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { childrenOf } from '../fixtures/process-usage.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const sample = { seed: 73, sizeBytes: 3 * 1024 * 1024 + 99, dataShare: 1 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)
t.setTimeout(600_000)
const skip = cannotMount || (transport === 'kernel' ? false : 'takeover is of the kernel transport')

t.test(
  'after two deaths the origin is read, also through what was open; after two more an idle mount goes',
  { skip },
  async t => {
    const where = place(t)
    writeSample(join(where.originDirectory, 'a.raw'), sample)
    const file = join(where.top, 'p.yaml')
    const cache = `{ directory: ${where.cacheDirectory}, capacity: 200MiB }`
    const lines = [`mountpoint: ${where.mountpoint}`, `origin: { url: "${where.origin}" }`, `cache: ${cache}`]
    writeFileSync(file, [...lines, 'worker: { crashLimit: 2 }', ''].join('\n'))
    const daemon = startCommand(t, [...command, 'mount', '--config', file])
    await until(() => /"msg":"mounted"/.test(daemon.log()) || daemon.child.exitCode !== null, patienceMs, 'the mount')
    const path = join(where.mountpoint, 'a.raw')
    const opened = openSync(path, 'r')
    const kill = async (takeovers: number) => {
      process.kill((await statusOf(where)).pid, 'SIGABRT')
      const count = () => daemon.log().split('another worker has taken over').length - 1
      await until(() => count() === takeovers, patienceMs, 'another worker')
    }
    t.ok((await readFile(path)).equals(bytes))
    await kill(1)
    t.equal((await statusOf(where)).health.state, 'healthy', 'the first death may be chance')
    // The worker says so, and the takeover is said by its supervisor: each has a log of its own.
    await logs(daemon, /a worker ended with signal SIGABRT.*its intact values were copied/)
    await kill(2)
    t.match(await statusOf(where), { health: { state: 'bypass', reason: /bypassed: 2 workers have died in a row/ } })
    const digest = async () => (await run('sha256sum', `/proc/${process.pid}/fd/${opened}`)).toString().slice(0, 64)
    await run('sh', '-c', 'echo 1 > /proc/sys/vm/drop_caches')
    const expected = (await run('sha256sum', join(where.originDirectory, 'a.raw'))).toString().slice(0, 64)
    t.equal(await digest(), expected, 'through a descriptor of before')
    t.ok((await readFile(path)).equals(bytes))
    const { reads, images } = await statusOf(where)
    t.ok(reads.missBytes > 0 && reads.hitBytes === 0, 'from the origin')
    t.match(images, [{ name: 'a.raw', residentBytes: 0 }], 'nothing is kept')
    await kill(3)
    closeSync(opened)
    process.kill((await statusOf(where)).pid, 'SIGABRT')
    t.equal((await daemon.exited).code, 1)
    t.ok(await isGone(where))
    t.ok(existsSync(join(where.cacheDirectory, 'index', 'data.mdb')), 'the cache is where it was')
  },
)

/** Time for which workers are killed, and between two looks for one; and kills at least, however slow the machine. */
const killMs = Number(process.env.KILL_SECONDS ?? 2) * 1000
const killEveryMs = 400
const killsMin = 3

t.test(
  `a worker that is killed every ${killEveryMs} ms for ${killMs / 1000} s costs pauses, and no error`,
  { skip, timeout: 120_000 + 3 * killMs },
  async t => {
    const where = place(t)
    writeSample(join(where.originDirectory, 'a.raw'), sample)
    const daemon = await mountDaemon(t, where)
    const images = new Map([['a.raw', [bytes]]])
    const readers = new CheckingReaders({ mountpoint: where.mountpoint, images, count: 2, seed: 7 })
    await readers.haveRead(5, patienceMs)
    const endMs = performance.now() + killMs
    let kills = 0
    while (performance.now() < endMs || kills < killsMin) {
      for (const pid of childrenOf(daemon.supervisorPid)) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {} // One that has ended meanwhile is as good.
        kills++
      }
      await sleep(killEveryMs)
    }
    await readers.haveRead(readers.report().reads + 20, patienceMs)
    const { reads, failed, wrong, longestMs } = await readers.stop()
    t.same({ failed, wrong }, { failed: 0, wrong: [] }, `${reads} reads`)
    t.ok(kills >= killsMin, `${kills} kills`)
    t.equal((await statusOf(where)).health.state, 'healthy', 'the cache is not passed by')
    t.comment(`${kills} kills, ${reads} reads, the longest took ${Math.round(longestMs)} ms`)
    t.equal(await stop(daemon), 0)
    t.ok(await isGone(where))
  },
)
