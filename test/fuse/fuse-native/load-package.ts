/** The optional package: what is said when it is not there, or another. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { FuseNativeTransport } from '../../../src/fuse/fuse-native/fuse-native-transport.ts'
import { fuseNativeTextBytesMax } from '../../../src/fuse/fuse-native/limits.ts'
import { createFuse, loadFuseNative } from '../../../src/fuse/fuse-native/load-package.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'

/** A package of that name and version, found from the path returned. */
function packageOf(directory: string, version: string, source: string): NodeJS.Require {
  const place = join(directory, 'node_modules', 'fuse-native')
  mkdirSync(place, { recursive: true })
  writeFileSync(join(place, 'package.json'), JSON.stringify({ name: 'fuse-native', version }))
  writeFileSync(join(place, 'index.js'), source)
  return createRequire(join(directory, 'x.js'))
}

t.test('a package that is missing, another or broken is refused with what to do', async t => {
  // Not below this repository: its packages would be found.
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const addon = { loadLibfuse2: () => {} }
  const cases: [NodeJS.Require, RegExp][] = [
    [createRequire(join(directory, 'none', 'x.js')), /is not installed: run "npm install .*fuse-native@2\.2\.6"/],
    [packageOf(join(directory, 'other'), '3.0.0', ''), /version 3\.0\.0, and only 2\.2\.6.*npm install/],
    [
      packageOf(join(directory, 'broken'), '2.2.6', 'throw new Error("no such library")'),
      /no such library.*npm install/,
    ],
  ]
  for (const [require, message] of cases) {
    t.throws(() => loadFuseNative(addon, require), { code: 'invalid-argument', message })
  }
})

t.test('a library that cannot be loaded says why', async t => {
  t.throws(() => loadAddon().loadLibfuse2('/nowhere/libfuse.so'), /nowhere/)
})

t.test('its own handlers, options and unmount are replaced', async t => {
  const source =
    'module.exports = class { constructor(...given) { this.given = given } _op_read() {} }; module.exports.unmount = 1'
  const Fuse = loadFuseNative({ loadLibfuse2: () => {} }, packageOf(t.testdir(), '2.2.6', source))
  const read = () => {}
  const fuse = createFuse(Fuse, '/mnt', 'ro,x', { read })
  t.match(fuse, { given: ['/mnt', { read }, { timeout: false }], _op_read: read })
  t.equal((fuse as unknown as { _fuseOptions: () => string })._fuseOptions(), '-oro,x')
  await new Promise<void>(resolve => Fuse.unmount('/mnt', () => resolve()))
})

t.test('a mountpoint that it would cut is refused', async t => {
  const mount = (mountpoint: string) =>
    FuseNativeTransport.mount({
      addon: loadAddon(),
      mountpoint,
      source: 's',
      allowOther: false,
      backend: new FakeBackend(),
      logger: silentLogger,
    })
  await t.rejects(mount(`/${'n'.repeat(fuseNativeTextBytesMax)}`), { code: 'invalid-argument' })
  await t.rejects(
    mount(`/${'n'.repeat(fuseNativeTextBytesMax - 1)}`),
    { code: 'mount-failed' },
    'the longest: not there',
  )
})
