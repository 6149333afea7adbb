/** Origins that leave a mount in use: by a word, by a reload, and over the deaths of workers. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, command, parentfs, patienceMs, place, statusOf, transport } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount || (transport === 'kernel' ? false : 'over fuse-native no worker takes over') }
const MiB = 1024 ** 2
const image = { seed: 71, sizeBytes: 2 * MiB + 99, dataShare: 0.9 }
const bytes = sampleBytes(image, 0, image.sizeBytes)

/** A mount of the origins `near` and `far`, whose images are cached. */
async function mounted(t: Test) {
  const where = place(t)
  const far = join(where.top, 'far')
  mkdirSync(far)
  for (const directory of [where.originDirectory, far])
    for (const name of ['a.raw', 'b.raw']) writeSample(join(directory, name), image)
  const file = join(where.top, 'p.yaml')
  const all = { near: where.origin, far: `file://${far}` }
  const configure = (origins: Readonly<Record<string, string>>) => {
    const lines = Object.entries(origins).map(([name, url]) => `  ${name}: { url: "${url}" }`)
    const cache = `cache: { directory: ${where.cacheDirectory}, capacity: 200MiB }`
    const log = `log: { file: ${join(where.top, 'log')} }`
    writeFileSync(file, `mountpoint: ${where.mountpoint}\n${cache}\n${log}\norigins:\n${lines.join('\n')}\n`)
  }
  configure(all)
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  const isWhole = async (path: string) => (await readFile(join(where.mountpoint, path))).equals(bytes)
  for (const path of ['near/a.raw', 'near/b.raw', 'far/a.raw']) t.ok(await isWhole(path), path)
  const isCached = async () => (await statusOf(where)).promotion.queuedBytes === 0
  await until(isCached, patienceMs, 'the promotions')
  const names = async () => (await statusOf(where)).origins.map(({ name }) => name)
  return { where, all, configure, isWhole, names, file }
}

/** A command that waits, and what it has said. */
function started(t: Test, ...args: string[]) {
  const [program, ...words] = command
  const { child, ended } = start(program, [...words, ...args])
  t.teardown(() => void child.kill('SIGKILL'))
  let said = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', chunk => (said += chunk))
  return { child, ended, said: () => said }
}

t.test('an origin vanishes, its open files go on, and nothing of it is left', options, async t => {
  const { where, isWhole, names } = await mounted(t)
  t.match(await parentfs('pin', join(where.mountpoint, 'near/b.raw')), { code: 0 })
  t.match(await parentfs('mode', 'proxy', 'near/b.raw', '-m', where.mountpoint), { code: 0 })
  const handle = await open(join(where.mountpoint, 'near/a.raw'), 'r')
  t.teardown(() => handle.close().catch(() => {}))
  const removal = started(t, 'remove', 'near', '-m', where.mountpoint)
  await until(() => /near\/b\.raw \(pinned\)/.test(removal.said()), patienceMs, 'the pin to be named')
  await until(() => /near\/a\.raw \(open/.test(removal.said()), patienceMs, 'the open file to be named')
  t.same(await readdir(where.mountpoint), ['far'])
  // The kernel knows a name for a second.
  const isThere = (path: string) =>
    readFile(join(where.mountpoint, path)).then(
      () => true,
      ({ code }) => code !== 'ENOENT',
    )
  await until(async () => !(await isThere('near/b.raw')), patienceMs, 'its names are gone')
  const read = Buffer.alloc(image.sizeBytes)
  const isOpenWhole = async () => {
    await handle.read(read, 0, read.length, 0)
    return read.equals(bytes)
  }
  t.ok(await isOpenWhole(), 'an open file')
  // The next worker goes on with it, and does not know who has the file open.
  const { pid } = await statusOf(where)
  process.kill(pid, 'SIGKILL')
  await until(async () => (await statusOf(where)).pid !== pid, patienceMs, 'another worker')
  t.same(await readdir(where.mountpoint), ['far'])
  t.match(await parentfs('unpin', 'near/b.raw', '-m', where.mountpoint), { code: 0 })
  read.fill(0)
  t.ok(await isOpenWhole(), 'after a death')
  t.same(await names(), ['near', 'far'], 'as long as it is open')
  await handle.close()
  t.match(await removal.ended, { code: 0 })
  t.match(removal.said(), /near: removed from /)
  t.same(await names(), ['far'])
  t.equal(readdirSync(join(where.cacheDirectory, 'images')).length, 1, 'files of the other origin alone')
  t.ok(await isWhole('far/a.raw'))
  t.match((await statusOf(where)).images, [{ name: 'far/a.raw' }])
  // It is gone for workers that follow, too.
  process.kill((await statusOf(where)).pid, 'SIGKILL')
  t.same(await names(), ['far'])
  t.match(await parentfs('remove', 'far', '-m', where.mountpoint), { code: 1, stderr: /the only origin/ })
  t.match(await parentfs('remove', 'gone', '-m', where.mountpoint), { code: 1, stderr: /there is far/ })
})

t.test('a reload without an origin removes it, and one with it has it back', options, async t => {
  const { where, all, configure, isWhole, names, file } = await mounted(t)
  const { near, far } = all
  const reload = () => parentfs('reload', where.mountpoint)
  const handle = await open(join(where.mountpoint, 'near/a.raw'), 'r')
  t.teardown(() => handle.close().catch(() => {}))
  configure({ far })
  t.match(await reload(), { code: 0, stdout: /origins\.near is nothing now, after file:/ })
  t.same(await readdir(where.mountpoint), ['far'])
  const { pid } = await statusOf(where)
  process.kill(pid, 'SIGKILL')
  await until(async () => (await statusOf(where)).pid !== pid, patienceMs, 'another worker')
  t.same(await readdir(where.mountpoint), ['far'])
  configure({ far, other: near })
  t.match(await reload(), { code: 1, stderr: /still leaving as near/ })
  configure(all)
  t.match(await reload(), { code: 0 })
  t.ok(await isWhole('near/a.raw'), 'it is back while a file is open')
  t.same((await readdir(where.mountpoint)).sort(), ['far', 'near'])
  await handle.close()
  t.match(await parentfs('pin', 'near/a.raw', '-m', where.mountpoint), { code: 0 })
  t.match(await parentfs('unpin', 'near/a.raw', '-m', where.mountpoint), { code: 0 })
  configure({ far })
  t.match(await reload(), { code: 0 })
  await until(async () => (await names()).length === 1, patienceMs, 'the removal')
  // A new mount finds nothing of it in the index.
  configure(all)
  t.match(await reload(), { code: 0, stdout: /origins\.near is file:.* now, after nothing/ })
  t.notOk((await statusOf(where)).images.some(({ name }) => name.startsWith('near/')))
  t.ok(await isWhole('near/b.raw'))
  t.ok(existsSync(file))
})
