/** A request that kills each worker that works on it, beside readers with other requests. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import {
  cannotMount,
  isGone,
  logs,
  mountArguments,
  patienceMs,
  place,
  startCommand,
  statusOf,
  stop,
  transport,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'
import { editVersion, versionIn } from '../fixtures/version.ts'

const MiB = 1024 ** 2
const sample = { seed: 91, sizeBytes: 8 * MiB, dataShare: 1 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)
const [poisonedOffset, poisonedBytes] = [3 * MiB, 12_288]
const skip = cannotMount || (transport === 'kernel' ? false : 'takeover is of the kernel transport')

t.test('three workers die of it, the fourth answers EIO, and nobody else sees anything', { skip }, async t => {
  const local = place(t)
  writeSample(join(local.originDirectory, 'a.raw'), sample)
  writeSample(join(local.originDirectory, 'b.raw'), sample)
  const origin = await spawnHttpOrigin({ directory: local.originDirectory, delayMs: 20 })
  t.teardown(() => origin.close())
  const where = { ...local, origin: origin.url }
  const directory = versionIn(local.top, '7.0.0')
  const before = /(?<=offset, length \} = readRead\(body\);\s+)if \(length > readBytesMax\)/
  const dies = `if (Number(offset) === ${poisonedOffset} && length === ${poisonedBytes}) process.abort();`
  editVersion(directory, before, `${dies} if (length > readBytesMax)`)
  const main = join(directory, 'dist', 'cli', 'main.js')
  const daemon = startCommand(t, ['env', '--unset=NODE_OPTIONS', process.execPath, main, ...mountArguments(where)])
  await until(() => /"msg":"mounted"/.test(daemon.log()) || daemon.child.exitCode !== null, patienceMs, 'the mount')
  const images = new Map([['b.raw', [bytes]]])
  const readers = new CheckingReaders({ mountpoint: where.mountpoint, images, count: 8, seed: 9 })
  await readers.haveRead(5, patienceMs)
  const file = await open(join(where.mountpoint, 'a.raw'), 0o40000)
  const read = file.read(Buffer.alloc(poisonedBytes), 0, poisonedBytes, poisonedOffset)
  await t.rejects(read, { code: 'EIO' })
  await logs(daemon, /"request":"[0-9a-f]{80,}".*a request that has killed workers is refused/)
  await logs(daemon, /("the worker has died"[\s\S]*){3}/)
  t.equal(daemon.log().split('"the worker has died"').length - 1, 3)
  await readers.haveRead(readers.report().reads + 20, patienceMs)
  const { failed, wrong, errors } = await readers.stop()
  t.same({ failed, wrong }, { failed: 0, wrong: [] }, errors.join())
  // The worker hears of its takeover a moment after it has begun to serve.
  const takeovers = async () => (await statusOf(where)).takeovers.count
  await until(async () => (await takeovers()) === 3, patienceMs, 'the third takeover')
  t.match(await statusOf(where), { takeovers: { count: 3 }, health: { state: 'healthy' } })
  const other = await file.read(Buffer.alloc(4096), 0, 4096, poisonedOffset)
  t.ok(
    other.buffer.equals(bytes.subarray(poisonedOffset, poisonedOffset + 4096)),
    'the same bytes, asked for otherwise',
  )
  await file.close()
  t.equal(await stop(daemon), 0)
  t.ok(await isGone(where))
})
