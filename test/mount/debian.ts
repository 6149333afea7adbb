/**
 * The Debian package on bare systems of each release: installed, mounted, read, upgraded in place under a reader, refused
 * a removal in use, removed and purged. lintian has nothing to say about it.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount } from '../fixtures/daemon.ts'
import { makeDebianPackage } from '../fixtures/debian-package.ts'
import { debianReleases, debianRoot, inRoot } from '../fixtures/debian-root.ts'
import { run, start } from '../fixtures/run.ts'

const where = mkdtempSync(join(tmpdir(), 'parentfs-test-'))
t.teardown(() => rmSync(where, { recursive: true, force: true }))
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
const before = '0.0.9'
/** Longest that lintian may take, in milliseconds. */
const lintianMsMax = 240_000
const steps = [
  'installed',
  'example',
  'mounted and read',
  'mounted by mount -t parentfs',
  'upgraded under a reader',
  'refused in use',
  'removed',
  'purged',
]

/** Makes the package, and one of an earlier version. @returns why there is none */
async function makePackages(): Promise<string | null> {
  const made = await makeDebianPackage()
  if ('why' in made) return made.why
  const built = made.path
  cpSync(built, join(where, 'after.deb'))
  const unpacked = join(where, 'unpacked')
  await run('dpkg-deb', '-R', built, unpacked)
  for (const [file, from, to] of [
    ['DEBIAN/control', `Version: ${version}`, `Version: ${before}`],
    ['usr/lib/parentfs/package.json', `"version": "${version}"`, `"version": "${before}"`],
  ] as const) {
    const path = join(unpacked, file)
    writeFileSync(path, readFileSync(path, 'utf8').replace(from, to))
  }
  await run('dpkg-deb', '--root-owner-group', '-Znone', '--build', unpacked, join(where, 'before.deb'))
  return null
}

t.test('the package', { skip: cannotMount }, async t => {
  const why = await makePackages()
  if (why !== null) return t.pass('a package', { skip: why })
  const judged = ['--fail-on', 'error,warning', join(where, 'after.deb')]
  // Judged while it is installed; null: there is no lintian.
  const judging = start('lintian', judged, { msMax: lintianMsMax }).ended.catch(() => null)
  for (const release of debianReleases) {
    const root = join(where, release)
    const noRoot = await debianRoot(release, root)
    if (noRoot !== null) {
      t.pass(release, { skip: noRoot })
      continue
    }
    mkdirSync(join(root, 'tmp'), { recursive: true })
    for (const name of ['before.deb', 'after.deb']) cpSync(join(where, name), join(root, 'tmp', name))
    cpSync('test/fixtures/debian-life.sh', join(root, 'tmp/life.sh'))
    const startedMs = performance.now()
    const life = await inRoot(t, root, {}, '/tmp/life.sh', '/tmp/before.deb', '/tmp/after.deb', version)
    const done = life.stdout
      .toString()
      .split('\n')
      .filter(line => line.startsWith('ok '))
    t.same(
      done.map(line => line.slice(3)),
      steps,
      `${release}: ${life.stdout}${life.stderr}`,
    )
    const installed = /installed in \d+ ms/.exec(life.stdout.toString())?.[0]
    t.comment(`${release}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s, ${installed}`)
    t.notOk(existsSync(join(root, 'usr/lib/parentfs')))
    rmSync(root, { recursive: true, force: true })
  }
  const lintian = await judging
  if (lintian === null) t.pass('lintian', { skip: 'lintian is not installed' })
  else t.match(lintian, { code: 0 }, lintian.stdout.toString())
})
