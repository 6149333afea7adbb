/** A log on a disk that is full: it costs lines, and neither supervisor nor worker nor a read. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { fetchMetrics } from '../../src/admin/admin-client.ts'
import { socketPath, trustedRuntimeDirectory } from '../../src/admin/socket-path.ts'
import {
  cannotMount,
  isRunning,
  patienceMs,
  place,
  startDaemon,
  statusOf,
  stop,
  transport,
} from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { attempt, run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const skip = cannotMount || (transport === 'kernel' ? false : 'a worker that dies takes the mount of fuse-native along')
const image = { seed: 19, sizeBytes: 1024 * 1024 + 5 }
const bytes = sampleBytes(image, 0, image.sizeBytes)

t.test(
  'a full disk below the log costs lines of supervisor and worker, and is told once there is room',
  { skip },
  async t => {
    const where = place(t)
    writeSample(join(where.originDirectory, 'a.raw'), image)
    const disk = join(where.top, 'disk')
    const [log, filler] = [join(disk, 'log'), join(disk, 'filler')]
    mkdirSync(disk)
    await run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'log', disk)
    t.teardown(() => run('umount', '-l', disk))
    // Not even one line has room in the page that it has.
    writeFileSync(log, `${'-'.repeat(4094)}\n`)
    t.not((await attempt('dd', 'if=/dev/zero', `of=${filler}`, 'bs=4k', 'status=none')).code, 0, 'the disk is full')
    const daemon = startDaemon(t, where, '--log-file', log)
    const serves = async (but = 0) => {
      const { pid, state } = await statusOf(where).catch(() => ({ pid: but, state: 'none' }))
      return pid !== but && state === 'ready'
    }
    await until(() => serves(), patienceMs, 'the mount')
    const first = (await statusOf(where)).pid
    // Both have something to say of it: a worker that is another, and the supervisor.
    process.kill(first, 'SIGKILL')
    await until(() => serves(first), patienceMs, 'another worker')
    t.ok((await readFile(join(where.mountpoint, 'a.raw'))).equals(bytes))
    t.ok(isRunning(daemon.supervisorPid))
    // A thread of the worker's own writes the log, and may come to it late.
    const metrics = () => fetchMetrics(socketPath(where.mountpoint, trustedRuntimeDirectory()))
    const hasLost = async () => /^parentfs_log_lines_lost_total(?:\{.*\})? [1-9]/m.test((await metrics()) ?? '')
    await until(hasLost, patienceMs, 'lines of the worker to be lost')
    t.ok(statSync(log).size <= 4096, 'nothing was logged')
    rmSync(filler)
    for (const name of ['supervisor', 'worker']) {
      const missing = new RegExp(
        `"name":"${name}","lines":[1-9]\\d*,"msg":"the log could not be written: lines are missing here"`,
      )
      await until(() => missing.test(readFileSync(log, 'latin1')), patienceMs, `what ${name} has lost`)
    }
    t.equal(await stop(daemon), 0)
    t.match(readFileSync(log, 'latin1'), /"msg":"stopped"/)
  },
)
