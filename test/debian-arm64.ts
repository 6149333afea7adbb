/**
 * The Debian package for arm64, made on this machine: its fields, and that every binary in it is one for arm64. The
 * addons are empty ones: `make -C native-bindings test-arm64` compiles and runs theirs.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeDebianPackage } from './fixtures/debian-package.ts'
import { attempt, run } from './fixtures/run.ts'

const where = mkdtempSync(join(tmpdir(), 'parentfs-test-'))
t.teardown(() => rmSync(where, { recursive: true, force: true }))
const compiler = 'aarch64-linux-gnu-g++'
/** EM_AARCH64. Source: elf(5). */
const arm64 = 183

/** Machines of the ELF files below `top`, by their paths. */
function machines(top: string): Map<string, number> {
  const found = new Map<string, number>()
  for (const entry of readdirSync(top, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const head = Buffer.alloc(20)
    const file = openSync(path, 'r')
    readSync(file, head, 0, head.length, 0)
    closeSync(file)
    if (head.subarray(0, 4).equals(Buffer.from('\x7fELF'))) found.set(path.slice(top.length + 1), head.readUInt16LE(18))
  }
  return found
}

t.test('the package for arm64 says so, and has binaries of that processor alone', async t => {
  if (process.arch !== 'x64') return t.pass('made here', { skip: 'not x86-64: make deb makes it' })
  const addons = join(where, 'addons')
  mkdirSync(addons)
  const empty = ['-shared', '-nostdlib', '-x', 'c++', '/dev/null', '-o']
  const compiled = await attempt(compiler, ...empty, join(addons, 'parentfs.node')).catch(() => null)
  if (compiled === null) return t.pass('made here', { skip: `${compiler} is not installed` })
  await run(compiler, ...empty, join(addons, 'parentfs-rbd.node'))
  const to = join(where, 'package')
  const made = await makeDebianPackage(to, 'ARCH=arm64', `ADDONS=${addons}`, 'COMPRESSION=-Znone')
  if ('why' in made) {
    const [why = made.why] = /no registry can be reached/.exec(made.why) ?? []
    return t.pass('made here', { skip: why })
  }
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  t.equal(made.path, join(to, `parentfs_${version}_arm64.deb`))
  const fields = (await run('dpkg-deb', '-f', made.path, 'Architecture', 'Depends')).toString()
  t.match(
    fields,
    /^Architecture: arm64\nDepends: libc6 \(>= 2\.\d+\), libgcc-s1 \(>= \S+\), libstdc\+\+6 \(>= \d+\)\n$/,
  )

  const unpacked = join(where, 'unpacked')
  await run('dpkg-deb', '-x', made.path, unpacked)
  const lib = 'usr/lib/parentfs'
  const found = machines(unpacked)
  t.same(
    [...found.values()].filter(machine => machine !== arm64),
    [],
    [...found.keys()].join('\n'),
  )
  const index = `${lib}/node_modules/@lmdb/lmdb-linux-arm64`
  for (const path of ['bin/node', 'native-bindings/build/parentfs.node', 'native-bindings/build/parentfs-rbd.node'])
    t.ok(found.has(`${lib}/${path}`), path)
  t.ok(
    [...found.keys()].some(path => path.startsWith(`${index}/node.napi`)),
    'the index',
  )
  const manifest = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as { version: string }
  t.equal(manifest(join(unpacked, index, 'package.json')).version, manifest('node_modules/lmdb/package.json').version)

  const emulated = ['-L', '/usr/aarch64-linux-gnu', join(unpacked, lib, 'bin/node'), '-p', 'process.arch']
  const ran = await attempt('qemu-aarch64', ...emulated).catch(() => null)
  if (ran === null) return t.pass('its Node.js', { skip: 'qemu-aarch64 is not installed' })
  t.equal(ran.stdout.toString(), 'arm64\n', ran.stderr)
})
