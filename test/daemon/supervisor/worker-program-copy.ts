/** The copy of a program that workers start from, and what belongs to it. */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { ownWorkerMain, workerMainIn } from '../../../src/daemon/supervisor/worker-binary.ts'
import { WorkerProgramCopy } from '../../../src/daemon/supervisor/worker-program-copy.ts'
import { workerProgramFilesOf } from '../../../src/daemon/supervisor/worker-program-files.ts'
import { workerProgramPlaces } from '../../../src/daemon/supervisor/worker-program-places.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const shippedWorkerMain = fileURLToPath(new URL('../../../../dist/daemon/server-main.js', import.meta.url))

/** An installation of a program that imports packages, one of which has another within. */
function installIn(top: string): string {
  const manifest = (name: string, dependencies = {}) => JSON.stringify({ name, type: 'module', dependencies })
  const files: Record<string, string> = {
    'package.json': manifest('p'),
    'dist/daemon/server-main.js':
      "import { b } from 'b'\nimport '../near.js'\nimport('c')\nprocess.stdout.write([b, globalThis.near].join(' '))\n",
    'dist/near.js': 'import "./chunks/far.js"\nglobalThis.near = "near"\n',
    'dist/chunks/far.js': 'import("../web/plan-main.js")\nimport "f/part.js"\nconst g = require2 => require2("g")\n',
    'dist/chunks/command.js': 'import "cli-only"\n',
    'dist/web/plan-main.js': '',
    'dist/index/salvage-main.js': '',
    'dist/cli/main.js': "import '../chunks/command.js'\n",
    'dist/cli/mount-helper-main.js': "import 'cli-only'\n",
    'dist/man/p.1': '',
    'native-bindings/build/parentfs.node': 'loaded',
    'native-bindings/build/parentfs-rbd.node': 'not loaded',
    'native-bindings/build/addon.o': '',
    'node_modules/b/package.json': manifest('b', { d: '1', e: '1' }),
    'node_modules/b/index.js': "import { d } from 'd'\nimport { e } from 'e'\nexport const b = 'b' + d + e\n",
    'node_modules/b/index.d.ts': '',
    'node_modules/b/test/test.js': '',
    'node_modules/b/node_modules/d/package.json': manifest('d', { b: '1' }),
    'node_modules/b/node_modules/d/index.js': "export const d = 'd'\n",
    'node_modules/e/package.json': manifest('e', { absent: '1' }),
    'node_modules/e/index.js': "export const e = 'e'\n",
    'node_modules/c/package.json': manifest('c'),
    'node_modules/c/index.js': '',
    'node_modules/f/package.json': manifest('f'),
    'node_modules/f/part.js': '',
    'node_modules/g/package.json': manifest('g'),
    'node_modules/g/index.js': '',
    'node_modules/cli-only/package.json': manifest('cli-only'),
    'node_modules/cli-only/index.js': '',
  }
  const root = join(top, 'p')
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

const mainOf = (root: string) => join(root, 'dist', 'daemon', 'server-main.js')

function copyOf(t: Test, top: string, root: string, place = join(top, 'run', 'x.program')) {
  const copy = new WorkerProgramCopy({ places: [place], mainIn: () => mainOf(root), afterMs: 1, logger: silentLogger })
  t.teardown(() => copy.close())
  const isUsed = () => copy.mainOf(null).startsWith(place)
  return { copy, isUsed, place }
}

t.test('what a worker needs is found: itself, what it imports, and what that depends on', async t => {
  const root = installIn(t.testdir())
  const { files, mainPlace } = workerProgramFilesOf(mainOf(root))
  t.equal(mainPlace, 'dist/daemon/server-main.js')
  t.same(files.map(({ place }) => place).sort(), [
    'dist/chunks/far.js',
    'dist/daemon/server-main.js',
    'dist/index/salvage-main.js',
    'dist/near.js',
    'dist/web/plan-main.js',
    'native-bindings/build/parentfs-rbd.node',
    'native-bindings/build/parentfs.node',
    'node_modules/b/index.js',
    'node_modules/b/node_modules/d/index.js',
    'node_modules/b/node_modules/d/package.json',
    'node_modules/b/package.json',
    'node_modules/c/index.js',
    'node_modules/c/package.json',
    'node_modules/e/index.js',
    'node_modules/e/package.json',
    'node_modules/f/package.json',
    'node_modules/f/part.js',
    'node_modules/g/index.js',
    'node_modules/g/package.json',
    'package.json',
  ])
  t.equal(workerProgramFilesOf(mainOf(root), files.length).files.length, files.length)
  t.throws(() => workerProgramFilesOf(mainOf(root), files.length - 1), { code: 'invalid-argument' })
})

t.test('of our own program it is all that is compiled but the command line', async t => {
  const { files, mainPlace } = workerProgramFilesOf(ownWorkerMain)
  const places = files.map(({ place }) => place)
  t.ok(places.includes(mainPlace), mainPlace)
  for (const name of [
    'base/errors.js',
    'web/plan-main.js',
    'index/recovery/salvage-main.js',
    'daemon/server-main.js',
  ]) {
    t.ok(
      places.some(place => place.endsWith(`src/${name}`)),
      name,
    )
  }
  t.notOk(places.some(place => /src\/cli\//.test(place)))
  for (const name of ['undici', 'lmdb', 'pino', 'zod']) {
    t.ok(places.includes(`node_modules/${name}/package.json`), name)
  }
})

t.test('of the program as it is shipped, in bundles, packages that are loaded later are found, too', async t => {
  const { files } = workerProgramFilesOf(shippedWorkerMain)
  const places = files.map(({ place }) => place)
  for (const name of ['undici', 'lmdb', 'pino', 'zod']) {
    t.ok(places.includes(`node_modules/${name}/package.json`), name)
  }
})

t.test('a copy runs when the installation has gone, for us alone, and goes with its supervisor', async t => {
  const top = t.testdir()
  const root = installIn(top)
  const loaded = [join(root, 'native-bindings', 'build', 'parentfs.node')]
  const { copy, isUsed, place } = copyOf(t, top, root)
  mkdirSync(join(`${place}-7`, 'left'), { recursive: true })
  chmodSync(dirname(place), 0o700)
  t.equal(copy.mainOf(null), mainOf(root), 'not yet')
  copy.serves({ directory: null, loaded })
  await until(isUsed, patienceMs, 'the copy')
  t.same(readdirSync(dirname(place)), ['x.program-1'], 'what a supervisor before has left is gone')
  renameSync(root, join(top, 'elsewhere'))
  const main = copy.mainOf(null)
  t.equal(execFileSync(process.execPath, [main], { env: {} }).toString(), 'bde near')
  t.notOk(
    existsSync(join(main, '../../../native-bindings/build/parentfs-rbd.node')),
    'linked, for nobody has it loaded',
  )
  t.ok(existsSync(join(main, '../../../native-bindings/build/parentfs.node')))
  t.equal(copy.mainOf('/another'), mainOf(root), 'another version is another program')
  await copy.close()
  t.same(readdirSync(dirname(place)), [])
})

t.test('a version that follows has a copy of its own, and without one the installation serves', async t => {
  const top = t.testdir()
  const root = installIn(top)
  const { copy, isUsed, place } = copyOf(t, top, root)
  copy.serves({ directory: null, loaded: [] })
  await until(isUsed, patienceMs, 'the copy')
  copy.serves({ directory: null, loaded: [] })
  t.equal(copy.mainOf(null), mainOf(root), 'what lies there now')
  await until(isUsed, patienceMs, 'the next copy')
  t.same(readdirSync(dirname(place)), ['x.program-2'])
  const warned: string[] = []
  const logger = { ...silentLogger, warn: (_: object, message: string) => void warned.push(message) }
  const file = join(root, 'package.json')
  const without = new WorkerProgramCopy({ places: [join(file, 'x')], mainIn: () => mainOf(root), afterMs: 1, logger })
  without.serves({ directory: null, loaded: [] })
  await until(() => warned.length > 0, patienceMs, 'a line in the log')
  t.equal(without.mainOf(null), mainOf(root))
  await without.close()
})

t.test('a copy during which the installation was replaced is not used', async t => {
  const top = t.testdir()
  const root = installIn(top)
  const place = join(top, 'run', 'x.program')
  const said: object[] = []
  const logger = { ...silentLogger, warn: (facts: object) => void said.push(facts) }
  const copy = new WorkerProgramCopy({ places: [place], mainIn: () => mainOf(root), afterMs: 1, logger })
  t.teardown(() => copy.close())
  const loaded: string[] = []
  // Asked for each addon, so between the first file and the last.
  loaded.includes = () => {
    writeFileSync(join(root, 'next.json'), '{}')
    renameSync(join(root, 'next.json'), join(root, 'package.json'))
    return false
  }
  copy.serves({ directory: null, loaded })
  await until(() => said.length > 0 || copy.mainOf(null) !== mainOf(root), patienceMs, 'its end')
  t.equal(copy.mainOf(null), mainOf(root))
  t.match(said, [{ reason: /replaced/ }])
})

t.test('a version of which others can write anything that a worker loads is refused', async t => {
  const root = installIn(t.testdir())
  const uid = process.getuid?.() ?? 0
  t.equal(workerMainIn(root, uid), mainOf(root))
  const places = ['node_modules/b/index.js', 'node_modules/e', 'package.json', 'dist/near.js', 'native-bindings/build']
  for (const place of [...places, 'native-bindings/build/parentfs-rbd.node', 'node_modules']) {
    chmodSync(join(root, place), 0o777)
    t.throws(() => workerMainIn(root, uid), { code: 'invalid-argument', message: /can be written by others/ }, place)
    chmodSync(join(root, place), 0o755)
  }
  chmodSync(join(root, 'node_modules', 'cli-only', 'index.js'), 0o777)
  t.equal(workerMainIn(root, uid), mainOf(root), 'nobody loads it here')
  const open = join(root, 'open')
  mkdirSync(open)
  renameSync(join(root, 'node_modules'), join(root, 'modules'))
  symlinkSync(join(root, 'modules'), join(open, 'link'))
  symlinkSync(join(open, 'link'), join(root, 'node_modules'))
  t.equal(workerMainIn(root, uid), mainOf(root), 'links are followed')
  chmodSync(open, 0o777)
  t.throws(() => workerMainIn(root, uid), { code: 'invalid-argument', message: /open can be written by others/ })
})

t.test('it lies where programs may be started from', async t => {
  const line = (mountpoint: string, options: string) => `36 35 98:0 / ${mountpoint} ${options} - tmpfs tmpfs rw\n`
  const table = (run: string) => line('/', 'rw') + line('/run', run) + line('/dev/shm', 'rw,nosuid')
  const lock = '/run/parentfs/ab.lock'
  const [run, shm] = ['/run/parentfs/ab.program', '/dev/shm/parentfs-5/ab.program']
  t.same(workerProgramPlaces(lock, 5, table('rw,nosuid')), [run, shm])
  t.same(workerProgramPlaces(lock, 5, table('rw,noexec,nosuid')), [shm])
  t.same(
    workerProgramPlaces(lock, 5, table('rw,noexec') + line('/run', 'rw')),
    [run, shm],
    'the last is the visible one',
  )
  t.same(workerProgramPlaces(lock, 5, line('/', 'rw,noexec')), [])
})
