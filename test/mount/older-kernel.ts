/**
 * A kernel that repeats no requests (before Linux 6.9): a version of ours that does not take the flag stands for it.
 */
import { existsSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  cannotMount,
  isGone,
  mountArguments,
  parentfs,
  patienceMs,
  place,
  startCommand,
  statusOf,
  stop,
  transport,
} from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'
import { editVersion, versionIn } from '../fixtures/version.ts'

const sample = { seed: 97, sizeBytes: 3 * 1024 * 1024, dataShare: 1 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)
const skip = cannotMount || (transport === 'kernel' ? false : 'takeover is of the kernel transport')

t.test('readers of a worker that dies get an error, and a mount that is made anew serves', { skip }, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), sample)
  const directory = versionIn(where.top, '6.1.0')
  editVersion(directory, 'offer.flags2 & (hasResend |', 'offer.flags2 & (0 |')
  const main = join(directory, 'dist', 'cli', 'main.js')
  const daemon = startCommand(t, ['env', '--unset=NODE_OPTIONS', process.execPath, main, ...mountArguments(where)])
  await until(() => /"msg":"mounted"/.test(daemon.log()) || daemon.child.exitCode !== null, patienceMs, 'the mount')
  const { pid, takeovers } = await statusOf(where)
  t.match(takeovers, { possible: false, count: 0 })
  const refused = await parentfs('upgrade', where.mountpoint)
  t.match(refused, { code: /[12]/, stderr: /no worker can take over from another/ })
  const file = await open(join(where.mountpoint, 'a.raw'), 0o40000)
  process.kill(pid, 'SIGKILL')
  const isAnother = async () => (await statusOf(where)).pid !== pid
  await until(isAnother, patienceMs, 'another worker')
  const read = file.read(Buffer.alloc(4096), 0, 4096, 0)
  const error = await read.then(
    () => null,
    (cause: NodeJS.ErrnoException) => cause.code,
  )
  t.ok(error === 'ENOTCONN' || error === 'ECONNABORTED', `the old descriptor: ${error}`)
  await file.close().catch(() => {})
  // The server answers for its status before it mounts.
  await until(() => existsSync(join(where.mountpoint, 'a.raw')), patienceMs, 'the new mount')
  t.ok((await readFile(join(where.mountpoint, 'a.raw'))).equals(bytes), 'what it serves')
  t.equal(await stop(daemon), 0)
  t.ok(await isGone(where))
})
