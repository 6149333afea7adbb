/** Operations on a mount through the real command: each command, and each bad input. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync } from 'node:fs'
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

/** Output of top on a terminal until q is pressed after the first picture. */
async function topUntilQ(mountpoint: string, terminal: string): Promise<string> {
  const line = [...command, 'top', mountpoint, '--interval', '100ms'].join(' ')
  const env = { ...process.env, TERM: terminal }
  const child = spawn('script', ['-qec', line, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'], env })
  let shown = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
  })
  const ended = once(child, 'close')
  try {
    await until(() => shown.includes('IMAGE'), patienceMs, 'a picture')
    // The input stays open: its end would be one more way to quit.
    child.stdin.write('q')
    await until(() => child.exitCode !== null, patienceMs, 'the end of top')
  } finally {
    child.kill('SIGKILL')
    await ended
  }
  return shown
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

t.test('what is wrong is said in one line, with what to do next', options, async t => {
  const where = await mounted(t)
  const { mountpoint, top } = where
  const onMount = ['-m', mountpoint]
  const path = join(mountpoint, 'a.raw')
  const cases: [string[], number, RegExp][] = [
    [['promote', 'b.raw', ...onMount], 1, /there is no image "b\.raw": "parentfs images" names them/],
    [['evict', join(mountpoint, 'b.raw')], 1, /there is no image "b\.raw"/],
    [['pin', 'b.raw', ...onMount], 1, /there is no image/],
    [['unpin', path], 1, /a\.raw is not pinned: "parentfs images" shows what is/],
    [['explain', 'b.raw', '0', ...onMount], 1, /there is no image/],
    [['explain', path, '0', '2MiB'], 1, /give a length from 1 to 1048576/],
    [['explain', path, 'x'], 2, /"x" is not a size/],
    [['explain', path], 2, /missing required argument 'offset'/],
    [['promote', path, '--range', '5'], 2, /"5" is not a range: write it like 0-1GiB/],
    [['promote', path, '--range', '2-1'], 2, /empty range/],
    [['promote', path, '--range', '1GiB-'], 1, /no range .*: give FROM-TO .* within the image of \d+ bytes/],
    [['promote', join(top, 'a.raw')], 1, /is not in a parentfs mount: "parentfs status" lists the mounts/],
    [['evict', 'a.raw', '-m', top], 1, /is not a parentfs mount: "parentfs status" lists the mounts/],
    [['pin', 'a.raw', '-m', top], 1, /is not a parentfs mount/],
    [['images', top], 1, /is not a parentfs mount/],
    [['explain', 'a.raw', '0', '-m', join(top, 'nowhere')], 1, /does not exist/],
    [['promote', path, '-m', top], 1, /is in the mount .*, not in/],
    [['promote'], 2, /missing required argument 'image'/],
  ]
  for (const [args, code, line] of cases) {
    const ran = await parentfs(...args)
    t.equal(ran.code, code, args.join(' '))
    t.match(ran.stderr, line)
    t.match(ran.stderr, /^parentfs: [^\n]+\n$/)
    t.equal(ran.stdout.length, 0)
  }
})

t.test('names are completed live', options, async t => {
  const where = await mounted(t)
  await run('stat', join(where.mountpoint, 'a.raw'))
  const completed = async (...words: string[]) => (await parentfs('complete', '--', ...words)).stdout.toString()
  // A daemon that answers late offers nothing.
  const isNamed = async () => (await completed('promote', '-m', where.mountpoint, 'a')) === 'a.raw\n:files\n'
  await until(isNamed, patienceMs, 'the name of the image')
  const isMountNamed = async () => (await completed('images', where.top)) === `${where.mountpoint}\n`
  await until(isMountNamed, patienceMs, 'the mountpoint')
})

t.test('top shows rates, once, in a pipe and on a terminal, until it is told to end', options, async t => {
  const where = await mounted(t)
  const { mountpoint } = where
  t.match(await parentfs('top', mountpoint, '--interval', '50ms'), { code: 1, stderr: /too short: give 100ms or more/ })
  // Misses all the time, whenever it looks.
  t.match(await parentfs('mode', 'none', '-m', mountpoint), { code: 0 })
  const reading = [`--directory=${mountpoint}`, '--filename=a.raw', '--readonly', '--rw=randread', '--bs=64k']
  const endless = ['--direct=1', '--ioengine=libaio', '--iodepth=8', '--time_based', '--runtime=3600', '--thread']
  const load = start('fio', ['--name=load', ...reading, ...endless])
  t.teardown(() => load.child.kill('SIGKILL'))
  await until(async () => (await statusOf(where)).reads.misses > 0, patienceMs, 'the first misses')
  const once = await parentfs('top', mountpoint, '--once', '--interval', '1s')
  load.child.kill('SIGKILL')
  await load.ended
  t.match(once, { code: 0, stdout: /^misses +(0\.[1-9]|[1-9][\d.]*)\/s.*\n(.*\n)*a\.raw +\S+\/s/m })
  t.ok(await isRight(where))
  const [file, ...words] = command
  const piped = start(file, [...words, 'top', mountpoint, '--interval', '100ms'])
  let shown = ''
  piped.child.stdout!.on('data', chunk => {
    shown += chunk
  })
  await until(() => shown.split(/^IMAGE/m).length > 2, patienceMs, 'several pictures')
  piped.child.kill('SIGINT')
  const { code, stdout } = await piped.ended
  t.equal(code, 0)
  t.notOk(stdout.includes('\u001b'))
  const onTerminal = await topUntilQ(mountpoint, 'xterm')
  for (const sequence of ['\u001b[?25l', '\u001b[H\u001b[J', '\u001b[?25h']) {
    t.ok(onTerminal.includes(sequence), JSON.stringify(sequence))
  }
  const dumb = await topUntilQ(mountpoint, 'dumb')
  t.match(dumb, /^misses/m)
  t.notOk(dumb.includes('\u001b'))
})

t.test('a mount is found by a link, by being the only one, and two are told apart', options, async t => {
  const where = await mounted(t)
  symlinkSync(where.mountpoint, join(where.top, 'link'))
  t.match(await parentfs('promote', join(where.top, 'link', 'a.raw')), { code: 0 })
  mkdirSync(join(where.top, 'second'))
  const second = { ...where, mountpoint: join(where.top, 'second'), cacheDirectory: join(where.top, 'cache2') }
  const daemon = await mountDaemon(t, second)
  t.match(await parentfs('images'), { code: 1, stderr: /there are \d+ mounts \(.*\): give one of them as MOUNTPOINT/ })
  t.match(await parentfs('evict', 'a.raw'), { code: 1, stderr: /say which one with -m DIR/ })
  await stop(daemon)
})

t.test('a daemon that has gone is said to have gone', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), sample)
  const daemon = await mountDaemon(t, where)
  await stop(daemon)
  for (const args of [['evict'], ['pin'], ['promote']]) {
    t.match(await parentfs(...args, 'a.raw', '-m', where.mountpoint), {
      code: 1,
      stderr: /^parentfs: .* is not a parentfs mount/,
    })
  }
})
