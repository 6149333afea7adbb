/** Operations on a mount through the real command: what each does with the bytes that are held. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Explanation } from '../../src/cache/operations/explain-read.ts'
import {
  cannotMount,
  command,
  makeComplete,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { startHttpOrigin } from '../fixtures/http-origin.ts'
import { type SampleImage, sampleBytes, writeSample } from '../fixtures/images.ts'
import { run, start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const MiB = 1024 * 1024
const sample: SampleImage = { seed: 41, sizeBytes: 6 * MiB - 321, dataShare: 1 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)

async function mounted(t: Test, ...more: string[]): Promise<Place> {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), sample)
  await mountDaemon(t, where, ...more)
  return where
}

async function imageOf(where: Place) {
  return (await statusOf(where)).images.find(({ name }) => name === 'a.raw')
}

function isRight({ mountpoint }: Place): Promise<boolean> {
  const words = [`if=${join(mountpoint, 'a.raw')}`, 'bs=1M', 'iflag=direct', 'status=none']
  return run('dd', ...words).then(read => read.equals(bytes))
}

t.test('promote, explain, pin, evict and unpin do what they say; a restart keeps the pin', options, async t => {
  const where = await mounted(t)
  const path = join(where.mountpoint, 'a.raw')
  const onMount = ['-m', where.mountpoint]
  t.match(await parentfs('promote', path, '--range', '0-1MiB', '--range', '4MiB-'), {
    code: 0,
    stdout: /^a\.raw: 3 MiB promoted, 0 B were there; the image is not complete\n$/,
    stderr: /^a\.raw: promoting, 3 MiB in all\n$/,
  })
  const explained = await parentfs('explain', path, '2MiB', '128KiB', '--json')
  t.match(JSON.parse(explained.stdout.toString()) as Explanation, {
    answer: { verdict: 'origin' },
    objects: [{ object: 0, runs: [{ block: 32, blocks: 2, state: 'missing' }] }],
  })
  t.match(await parentfs('explain', 'a.raw', '0', ...onMount), {
    code: 0,
    stdout:
      /^answered by +store: natively.*: all blocks are published\n(.*\n)*origin +available, file:.*\n(.*\n)*0 +0 +0 +64 KiB +published +0 +/m,
  })
  t.match(await parentfs('promote', 'a.raw', ...onMount), {
    code: 0,
    stdout: /3 MiB were there; the image is complete/,
  })
  t.match(await parentfs('pin', 'a.raw', ...onMount), { code: 0, stdout: /^a\.raw: pinned/ })
  t.match(await parentfs('images', where.mountpoint), {
    code: 0,
    stdout: /^IMAGE .*\na\.raw +6 MiB +complete +promote +yes +- +served/,
  })
  t.match(await parentfs('status', where.mountpoint), {
    stdout: /^pinned +6 MiB held of 6 MiB, at most 100 MiB can be$/m,
  })
  t.match(await parentfs('evict', path), {
    code: 1,
    stderr: /^parentfs: a\.raw is pinned.*"parentfs unpin" it first\n$/,
  })
  await run('umount', where.mountpoint)
  await until(async () => (await parentfs('status', where.mountpoint)).code === 1, patienceMs, 'the end of the daemon')
  await mountDaemon(t, where)
  t.match(await imageOf(where), { pinned: true, complete: true })
  t.match(await parentfs('unpin', path), { code: 0 })
  t.match(await parentfs('evict', path), { code: 0, stdout: /^a\.raw: 6 MiB in 2 objects evicted\n$/ })
  t.match(await imageOf(where), { pinned: false, residentBytes: 0 })
  t.ok(await isRight(where))
})

t.test('an open image is evicted again and again under load, and every byte stays right', options, async t => {
  const where = await mounted(t, '--no-passthrough') // What the kernel reads by itself stays.
  await makeComplete(where, 'a.raw')
  const words = ['--filename=a.raw', '--readonly', '--rw=randread', '--bs=16k', '--iodepth=8', '--ioengine=libaio']
  const load = start('fio', [
    '--name=load',
    `--directory=${where.mountpoint}`,
    ...words,
    '--direct=1',
    '--time_based',
    '--runtime=4',
  ])
  const isHeld = async () => ((await statusOf(where)).images[0]?.residentBytes ?? 0) > 0
  for (let round = 0; round < 4; round++) {
    await until(isHeld, patienceMs, 'something to evict')
    t.match(await parentfs('evict', join(where.mountpoint, 'a.raw')), { stdout: /evicted/ })
    t.ok(await isRight(where), `round ${round}`)
  }
  t.match(await load.ended, { code: 0 })
  const { eviction } = await statusOf(where)
  t.ok(eviction.objects >= 4, `${eviction.objects} objects were evicted`)
})

t.test('a promotion that is interrupted keeps what it has, says so, and goes on', options, async t => {
  const where = place(t)
  const sizeBytes = 24 * MiB
  writeSample(join(where.originDirectory, 'slow.raw'), { seed: 42, sizeBytes, dataShare: 1 })
  const origin = await startHttpOrigin({ directory: where.originDirectory, bytesPerSecond: 12 * MiB })
  t.teardown(() => origin.close())
  const daemon = await mountDaemon(t, { ...where, origin: origin.url })
  await run('stat', join(where.mountpoint, 'slow.raw'))
  const [file, ...words] = command
  const { child, ended } = start(file, [...words, 'promote', 'slow.raw', '-m', where.mountpoint])
  let said = ''
  child.stderr!.on('data', chunk => {
    said += chunk
  })
  const held = async () => (await statusOf(where)).images[0]?.residentBytes ?? 0
  await until(() => said.includes('promoting'), patienceMs, 'the begin')
  await until(async () => (await held()) > 0, patienceMs, 'the first pieces')
  // However late it hears of the signal, it is not done.
  await origin.fault({ kind: 'stall-before-headers' })
  child.kill('SIGINT')
  t.match(await ended, {
    code: 130,
    stderr: /parentfs: interrupted: .* of 24 MiB of slow.raw are there; the same command goes on/,
  })
  await until(async () => (await statusOf(where)).gauges.inflightFetches === 0, patienceMs, 'the end of the work')
  await origin.fault(null)
  const before = await held()
  t.ok(before < sizeBytes, `${before} held`)
  t.match(await parentfs('promote', 'slow.raw', '-m', where.mountpoint), { code: 0, stdout: /the image is complete/ })
  t.equal((await statusOf(where)).promotion.promotedBytes, sizeBytes, 'nothing came twice')
  await stop(daemon)
})
