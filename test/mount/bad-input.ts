/** Input that cannot be mounted: one line with the reason, and nothing left mounted, locked or running. */
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { mountAt } from '../../src/daemon/mount/mount-table.ts'
import {
  cannotMount,
  isGone,
  mountArguments,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  startDaemon,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }

/** Mounting `where` fails with one line that `line` matches; afterwards nothing is mounted and no daemon of it runs. */
async function refuses(t: Test, where: Place, line: RegExp, code: number, ...more: string[]): Promise<void> {
  // Every process that the command starts inherits the mark.
  process.env.PARENTFS_TEST_MARK = randomUUID()
  const ran = await parentfs(...mountArguments(where, ...more))
  t.equal(ran.code, code, `${line}`)
  t.match(ran.stderr, /^parentfs: [^\n]+\n$/, 'one line')
  t.match(ran.stderr, line)
  t.equal(ran.stdout.toString(), '')
  t.same(processesWith(process.env.PARENTFS_TEST_MARK), [], 'no process left')
}

/** Process ids with `mark` in their environment. */
function processesWith(mark: string): string[] {
  return readdirSync('/proc').filter(pid => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark)
    } catch {
      return false
    }
  })
}

t.test('settings that are not usable', options, async t => {
  const where = place(t)
  const cases: [RegExp, number, string[]][] = [
    [/capacity.* too small .*at least 128MiB/, 1, ['--capacity', '127MiB']],
    [/capacity.* larger than the file system/, 1, ['--capacity', '1000TiB']],
    [/cache\.readAhead: 2GiB is out of range: give 0 to 1GiB/, 1, ['--read-ahead', '2GiB']],
    [/--cache-dir .* is empty: is a variable not set/, 2, ['--cache-dir', '']],
    [/--log-file .* is empty/, 2, ['--log-file', '']],
    [/block size 65537 is not a power of two/, 1, ['--block-size', '65537']],
    [/block size 2097152/, 1, ['--block-size', '2MiB']],
    [/"10Q" is not a size/, 2, ['--capacity', '10Q']],
    [/"60" is not a duration/, 2, ['--revalidate', '60']],
    [/mount option "rw"/, 2, ['-o', 'ro,rw']],
    [/transport "pigeon"/, 1, ['--transport', 'pigeon']],
    [/log-level.*loud/, 2, ['--log-level', 'loud']],
    [/log file .* cannot be written/, 1, ['--log-file', '/dev/null/log']],
    [/unknown option .*--cache-dir/, 2, ['--cache-dirr', '/x']],
  ]
  for (const [line, code, more] of cases) await refuses(t, where, line, code, ...more)
})

t.test('origins that are not', options, async t => {
  const where = place(t)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory, credentials: 'me:another' })
  t.teardown(() => origin.close())
  const refused = origin.url
  const cases: [string, RegExp][] = [
    ['gopher://host/', /gopher.*file:\/\/, http:\/\/, https:\/\//],
    ['/a/directory', /not a URL: write it like file:\/\/\/a\/directory/],
    [`file://${where.top}/nowhere`, /nowhere/],
    [refused, /127\.0\.0\.1.*401.*give the credentials/],
    [refused.replace('://', '://me:secret@'), /127\.0\.0\.1.*has credentials in it/],
  ]
  for (const [url, line] of cases) await refuses(t, { ...where, origin: url }, line, 1)
  const secret = { ...where, origin: refused.replace('://', '://me:secret@') }
  t.notMatch((await parentfs(...mountArguments(secret))).stderr, /secret/)
})

t.test('mountpoints that cannot be', options, async t => {
  const where = place(t)
  const file = join(where.top, 'file')
  writeFileSync(file, '')
  await refuses(t, { ...where, mountpoint: join(where.top, 'missing') }, /missing does not exist/, 1)
  await refuses(t, { ...where, mountpoint: file }, /not a directory: name one that exists/, 1)
  await refuses(t, { ...where, mountpoint: '' }, /mountpoint: it is empty/, 2)
  await refuses(t, { ...where, origin: '' }, /origin: it is empty/, 2)
  await refuses(t, { ...where, mountpoint: '/proc' }, /type proc mounted/, 1)
  await mountDaemon(t, where)
  const busy = await parentfs(...mountArguments(where))
  t.match(busy, { code: 1, stderr: /^parentfs: .*already has a parentfs.*\n$/ })
  t.match(await parentfs('unmount', where.top), { code: 1, stderr: /^parentfs: .*not a parentfs mount: .*\n$/ })
  t.match(await parentfs('status', where.top), { code: 1, stderr: /^parentfs: .*not a parentfs mount: .*\n$/ })
})

t.test('a cache or an origin below the mountpoint, which would hide it', options, async t => {
  const where = place(t)
  const link = join(where.top, 'link')
  symlinkSync(where.mountpoint, link)
  await refuses(t, { ...where, cacheDirectory: join(where.mountpoint, 'cache') }, /cache .*lies in the mountpoint/, 1)
  await refuses(t, { ...where, cacheDirectory: join(link, 'new', 'cache') }, /cache .*lies in the mountpoint/, 1)
  await refuses(t, { ...where, origin: `file://${where.mountpoint}` }, /origin .*lies in the mountpoint/, 1)
  await mountDaemon(t, { ...where, cacheDirectory: `${where.mountpoint}-cache` })
})

t.test('cache directories that are not ours, or are in use', options, async t => {
  const where = place(t)
  const foreign = { ...where, cacheDirectory: join(where.top, 'foreign') }
  mkdirSync(foreign.cacheDirectory)
  writeFileSync(join(foreign.cacheDirectory, 'precious'), '')
  await refuses(t, foreign, /not a parentfs cache/, 1)
  const daemon = await mountDaemon(t, where)
  const other = { ...place(t), origin: where.origin, cacheDirectory: where.cacheDirectory }
  await refuses(t, other, /another parentfs daemon uses this cache directory/, 1)
  daemon.child.kill('SIGTERM')
  await daemon.exited
  await refuses(t, where, /blocks of 65536 bytes, not 4096/, 1, '--block-size', '4KiB')
  // The refusals have left no lock: it mounts.
  await mountDaemon(t, other)
  t.equal((await mountAt(other.mountpoint))?.source, where.origin)
})

t.test('cache directories that somebody else owns, can write, or leads us to', options, async t => {
  const where = place(t)
  const [theirs, link] = [join(where.top, 'theirs'), join(where.top, 'link')]
  mkdirSync(theirs)
  chownSync(theirs, 65534, 65534)
  await refuses(t, { ...where, cacheDirectory: theirs }, /belongs to user 65534.*name another place/, 1)
  chownSync(theirs, 0, 0)
  chmodSync(theirs, 0o1777)
  await refuses(t, { ...where, cacheDirectory: theirs }, /can be written by others.*chmod go-w/, 1)
  chmodSync(theirs, 0o755)
  symlinkSync(theirs, link)
  lchownSync(link, 65534, 65534)
  await refuses(t, { ...where, cacheDirectory: link }, /is a link that belongs to user 65534.*name another place/, 1)
  t.same(readdirSync(theirs), [], 'nothing was written')
})

t.test('a signal while the origin keeps us waiting ends the start at once', options, async t => {
  const where = place(t)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory })
  t.teardown(() => origin.close())
  await origin.fault({ kind: 'stall-before-headers' })
  const daemon = startDaemon(t, { ...where, origin: origin.url })
  await until(async () => (await origin.counters()).requests > 0, patienceMs, 'a request')
  daemon.child.kill('SIGINT')
  const ran = await daemon.exited
  t.match(ran, { code: 1, stderr: /^parentfs: SIGINT came before the mount was up\n$/m })
  t.notMatch(ran.stderr, /does not answer/, 'without waiting for the origin')
  t.ok(await isGone(where, daemon.supervisorPid))
})
