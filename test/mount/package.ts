/**
 * The package, as npm makes it: its contents, and that it runs from a directory that knows nothing of this one, also
 * when this one has gone.
 *
 * INSTALL=1 has npm compile the addon, too, which takes a minute; otherwise the installed package gets the one that is
 * built here.
 */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { cannotMount, isGone, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { attempt, run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const runFile = promisify(execFile)
// tap would load itself into npm. fuse-native: see test/setup.sh.
const { NODE_OPTIONS: _, ...inherited } = process.env
const env = { ...inherited, FUSE_NATIVE: '1' }
const withoutNetwork = /ENOTFOUND|ECONNREFUSED|ECONNRESET|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|ENOTCACHED/
const where = mkdtempSync(join(tmpdir(), 'parentfs-test-'))
t.teardown(() => rmSync(where, { recursive: true, force: true }))

/** Run npm there. */
function npm(cwd: string, ...args: string[]) {
  return runFile('npm', args, { cwd, env, timeout: 280_000, maxBuffer: 16 * 1024 ** 2 })
}

interface Packed {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}

t.test('the package has what runs, what explains and what compiles, and installs', async t => {
  const unpacked = join(where, 'unpacked')
  mkdirSync(unpacked)
  // Everything that the script before it builds is built already, but for the pages.
  const isPaged = (await attempt('make', 'man')).code === 0
  const { stdout } = await npm('.', 'pack', '--json', '--ignore-scripts', '--pack-destination', where)
  const { filename, size, unpackedSize, files } = (JSON.parse(stdout) as [Packed])[0]
  t.comment(`${filename}: ${size} bytes, ${unpackedSize} unpacked, ${files.length} files`)
  t.ok(size < 1024 ** 2, `${size} bytes`)
  const paths = files.map(({ path }) => path)
  for (const path of ['dist/cli/main.js', 'systemd/parentfs@.service', 'native-bindings/install.sh', 'README.md']) {
    t.ok(paths.includes(path), path)
  }
  if (isPaged) t.ok(paths.includes('dist/man/mount.parentfs.8'))
  else t.pass('manual pages', { skip: 'scdoc is not installed' })
  const useless = /^(src|test|bench|build)\/|native-bindings\/(build|test)\/|\.(ts|map|tsbuildinfo|node|o)$/
  t.same(
    paths.filter(path => useless.test(path)),
    [],
  )
  await run('tar', 'xzf', join(where, filename), '-C', unpacked)
  const telling = paths.filter(path => readFileSync(join(unpacked, 'package', path)).includes(`${process.cwd()}/`))
  t.same(telling, [], 'no path of this machine')

  const directory = join(where, 'elsewhere')
  mkdirSync(directory)
  const how = ['--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=0', '--fetch-timeout=20000']
  try {
    await npm(directory, 'install', '--ignore-scripts', ...how, join(where, filename))
  } catch (error) {
    if (!withoutNetwork.test(`${error}`)) throw error
    return t.pass('its installation', { skip: 'no registry can be reached' })
  }
  const installed = join(directory, 'node_modules', 'parentfs')
  if (process.env.INSTALL) await npm(directory, 'rebuild', 'parentfs')
  else cpSync('native-bindings/build/parentfs.node', join(installed, 'native-bindings/build/parentfs.node'))
  const { stdout: version } = await runFile('npx', ['parentfs', '--version'], { cwd: directory, env })
  t.equal(version.trim(), (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version)
  if (cannotMount) return t.pass('a mount of it', { skip: cannotMount })
  const at = place(t)
  const sample = { seed: 71, sizeBytes: 300_000, dataShare: 1 }
  for (const name of ['a.raw', 'b.raw']) writeSample(join(at.originDirectory, name), sample)
  // The client of web servers is loaded late: the copy has to have it.
  const origin = await spawnHttpOrigin({ directory: at.originDirectory })
  t.teardown(() => origin.close())
  const [file, log] = [join(where, 'p.yaml'), join(where, 'log')]
  const cache = (capacity: string) => `cache: { directory: ${at.cacheDirectory}, capacity: ${capacity} }\n`
  const rest = `mountpoint: ${at.mountpoint}\norigin: { url: "${origin.url}" }\nlog: { file: ${log} }\n`
  writeFileSync(file, cache('200MiB') + rest)
  await runFile('npx', ['parentfs', 'mount', '--background', '--config', file], { cwd: directory, env })
  // Past the page cache, so that the worker is asked.
  const isRight = async (name: string) => {
    const read = await run('dd', `if=${join(at.mountpoint, name)}`, 'bs=64k', 'iflag=direct', 'status=none')
    return read.equals(sampleBytes(sample, 0, sample.sizeBytes))
  }
  t.ok(await isRight('a.raw'))
  const said = (what: string) => until(() => readFileSync(log, 'utf8').includes(what), patienceMs, what)
  await said('workers start from a copy of the program')
  const target = /"target":"([^"]+)"/.exec(readFileSync(log, 'utf8'))?.[1] ?? ''
  t.ok(existsSync(join(target, 'package.json')), target)
  renameSync(directory, `${directory}-moved`)
  process.kill((await statusOf(at)).pid, 'SIGKILL')
  await said('another worker has taken over')
  t.ok((await isRight('a.raw')) && (await isRight('b.raw')), 'a worker that was started when the installation had gone')
  writeFileSync(file, cache('300MiB') + rest)
  t.match(await parentfs('reload', at.mountpoint), { code: 0, stdout: /capacity is 300MiB now/ })
  t.equal((await parentfs('unmount', at.mountpoint)).code, 0)
  t.ok(await isGone(at))
  await until(() => !existsSync(target), patienceMs, 'the end of the copy')
})

t.test('without a compiler the installation says what is missing', async t => {
  const bare = join(where, 'bare', 'native-bindings')
  const programs = join(where, 'programs')
  for (const directory of [bare, programs]) mkdirSync(directory, { recursive: true })
  cpSync('native-bindings/install.sh', join(bare, 'install.sh'))
  for (const name of ['dirname', 'rm']) symlinkSync(`/usr/bin/${name}`, join(programs, name))
  const install = () => attempt('env', '-i', `PATH=${programs}`, '/bin/sh', join(bare, 'install.sh'))
  const refused = await install()
  t.equal(refused.code, 1)
  t.match(refused.stderr, /^parentfs: missing g\+\+ make: .*apt-get install g\+\+ make/)
  writeFileSync(join(programs, 'g++'), '#!/bin/sh\n')
  chmodSync(join(programs, 'g++'), 0o755)
  t.match((await install()).stderr, /^parentfs: missing make: /)
  // A checkout has make build.
  mkdirSync(join(where, 'bare', 'src'))
  t.match(await install(), { code: 0, stderr: '' })
})
