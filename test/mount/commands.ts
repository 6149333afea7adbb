/** Commands on a mount, as they are typed: bad inputs, completions, `top`, and how a mount is found. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  cannotMount,
  command,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { type SampleImage, sampleBytes, writeSample } from '../fixtures/images.ts'
import { run, start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const MiB = 1024 * 1024
const sample: SampleImage = { seed: 41, sizeBytes: 6 * MiB - 321, dataShare: 1 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)

async function mounted(t: Test): Promise<Place> {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), sample)
  await mountDaemon(t, where)
  return where
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
