/** Emptying the cache of a mount in use: `evict --all` and `drain`, of all and of one origin. */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, capabilities, command, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { openPassed } from '../fixtures/passed.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const passing = { skip: cannotMount || (capabilities.passthrough ? false : 'this transport has no passthrough') }
const image = { seed: 41, sizeBytes: 4 * 1024 * 1024 + 17 }
const bytes = sampleBytes(image, 0, image.sizeBytes)

/** Two origins, `near` and `far`, with an image `a.raw` and `b.raw` each, all of which is held. */
async function filledMount(t: Test) {
  const where = place(t)
  const urls = ['near', 'far'].map(name => {
    const directory = join(where.top, name)
    mkdirSync(directory)
    for (const file of ['a.raw', 'b.raw']) writeSample(join(directory, file), image)
    return `  ${name}: { url: "file://${directory}" }\n`
  })
  const file = join(where.top, 'p.yaml')
  const cache = `cache: { directory: ${where.cacheDirectory}, capacity: 200MiB }\n`
  writeFileSync(file, `mountpoint: ${where.mountpoint}\n${cache}origins:\n${urls.join('')}`)
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  const images = ['near/a.raw', 'near/b.raw', 'far/a.raw', 'far/b.raw']
  const readAll = async () => {
    for (const name of images) t.ok((await readFile(join(where.mountpoint, name))).equals(bytes), name)
  }
  await readAll()
  const heldBytes = async (origin: string) => {
    const { images } = await statusOf(where)
    return images.filter(({ name }) => name.startsWith(origin)).reduce((sum, each) => sum + each.residentBytes, 0)
  }
  const isWhole = async () => (await statusOf(where)).images.every(({ complete }) => complete)
  await until(isWhole, patienceMs, 'the promotions')
  return { where, readAll, heldBytes }
}

/** The command, running. */
function started(t: Test, ...words: readonly string[]) {
  const [file, ...more] = command
  const child = spawn(file, [...more, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (said += chunk))
  const exited = new Promise<number | null>(resolve => child.once('close', resolve))
  return { child, exited, said: () => said }
}

t.test('evict --all empties one origin or all, but for what is pinned, which it names', options, async t => {
  const { where, readAll, heldBytes } = await filledMount(t)
  const evict = (...words: string[]) => parentfs('evict', '--all', '-m', where.mountpoint, ...words)
  t.match(await evict('--origin', 'near'), { code: 0, stdout: /^near: \S+ MiB of 2 images evicted, 0 B left\n$/ })
  t.same([await heldBytes('near/'), (await heldBytes('far/')) > 0], [0, true])
  t.match(await parentfs('pin', join(where.mountpoint, 'far/a.raw')), { code: 0 })
  t.match(await evict(), {
    code: 1,
    stdout: / 1 image evicted, 4 MiB left, held by far\/a\.raw \(pinned\)\n$/,
  })
  t.equal(await heldBytes('far/'), image.sizeBytes)
  t.match(await evict('--origin', 'nowhere'), { code: 1, stderr: /there is no origin "nowhere": there is near, far/ })
  t.match(await parentfs('evict', '-m', where.mountpoint), { code: 2, stderr: /needs an IMAGE, or --all/ })
  await readAll()
})

t.test('drain waits for a pin and for a reader of the kernel, names them, and ends at 0 bytes', passing, async t => {
  const { where, readAll, heldBytes } = await filledMount(t)
  const handle = await openPassed(t, where, 'near/b.raw')
  t.match(await parentfs('pin', join(where.mountpoint, 'near/a.raw')), { code: 0 })
  const drain = started(t, 'drain', '--origin', 'near', '-m', where.mountpoint)
  const named =
    /near\/(a\.raw \(pinned|b\.raw \(open by passthrough)\), near\/(a\.raw \(pinned|b\.raw \(open by passthrough)\)/
  await until(() => named.test(drain.said()), patienceMs, 'both to be named')
  t.equal((await statusOf(where)).origins.find(({ name }) => name === 'near')?.mode, 'proxy')
  await readAll()
  const block = Buffer.alloc(65536)
  await handle.read(block, 0, block.length, 65536)
  t.ok(block.equals(bytes.subarray(65536, 2 * 65536)), 'an open reader goes on')
  // A worker that dies is followed by one that goes on with it.
  process.kill((await statusOf(where)).pid, 'SIGKILL')
  t.match(await parentfs('unpin', join(where.mountpoint, 'near/a.raw')), { code: 0 })
  await until(async () => (await heldBytes('near/a')) === 0, patienceMs, 'the one that was pinned')
  await handle.close()
  t.equal(await drain.exited, 0, drain.said())
  t.match(drain.said(), /near: .* evicted, 0 B left\n$/)
  t.equal(await heldBytes('near/'), 0)
  t.ok((await heldBytes('far/')) > 0)
  await readAll()
  t.equal(await heldBytes('near/'), 0, 'nothing is kept')
})

t.test('a drain that is interrupted leaves the mode, and evicts no further', options, async t => {
  const { where, heldBytes } = await filledMount(t)
  t.match(await parentfs('pin', join(where.mountpoint, 'far/a.raw')), { code: 0 })
  const drain = started(t, 'drain', '-m', where.mountpoint)
  await until(() => drain.said().includes('far/a.raw (pinned)'), patienceMs, 'the pin to be named')
  drain.child.kill('SIGINT')
  t.not(await drain.exited, 0)
  t.match(await parentfs('unpin', join(where.mountpoint, 'far/a.raw')), { code: 0 })
  t.match(await parentfs('mode', '-m', where.mountpoint), { code: 0, stdout: /mount +- +proxy +operator/ })
  t.equal(await heldBytes('far/'), image.sizeBytes, 'it was given up')
})
