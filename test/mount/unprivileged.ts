/**
 * The same command for a user other than root: fusermount3 mounts, and sockets and caches lie in the user's own places.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Status } from '../../src/admin/status.ts'
import { type MountEntry, parseMountTable } from '../../src/daemon/mount/mount-table.ts'
import { cannotMount, command, mountArguments, type Place, patienceMs, place } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { start } from '../fixtures/run.ts'
import { noStranger } from '../fixtures/stranger.ts'

/** The user `nobody`. */
const uid = 65534
const image = { seed: 11, sizeBytes: 3 * 1024 * 1024 + 17 }

const withoutTool = ['/bin/fusermount3', '/usr/bin/fusermount3'].some(existsSync) ? false : 'fusermount3 is missing'
const options = { skip: cannotMount || withoutTool || noStranger }

interface User {
  readonly where: Place
  /** Run something as that user. */
  as(...words: readonly string[]): SpawnSyncReturns<string>
  /** The mount on the mountpoint, as the user sees it. */
  mounted(): MountEntry | undefined
}

/**
 * Directories of the user's own, in a mount namespace in which every user may open /dev/fuse: on Debian every user may,
 * in many containers not.
 */
async function setUpUser(t: Pick<Test, 'teardown'>): Promise<User> {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const [home, runtime] = [join(where.top, 'home'), join(where.top, 'runtime')]
  for (const directory of [home, runtime]) mkdirSync(directory)
  for (const directory of [home, runtime, where.mountpoint, where.top]) chownSync(directory, uid, uid)
  chmodSync(where.top, 0o755)
  const device = join(where.top, 'fuse')
  const script = `mknod "${device}" c 10 229 && chmod 666 "${device}" && mount --bind "${device}" /dev/fuse && echo up && exec sleep 600`
  const namespace = start('unshare', ['--mount', '--propagation', 'private', 'sh', '-ec', script])
  t.teardown(async () => {
    namespace.child.kill('SIGKILL')
    await namespace.ended
  })
  await once(namespace.child.stdout!, 'data')
  const pid = namespace.child.pid!
  const env = [`HOME=${home}`, `XDG_RUNTIME_DIR=${runtime}`, `PATH=${process.env.PATH}`]
  const enter = ['--target', `${pid}`, '--mount', '--', 'setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']
  return {
    where,
    as: (...words) =>
      spawnSync('nsenter', [...enter, 'env', '--ignore-environment', ...env, ...words], {
        encoding: 'utf8',
        timeout: patienceMs,
      }),
    mounted: () =>
      parseMountTable(readFileSync(`/proc/${pid}/mountinfo`, 'utf8')).findLast(
        ({ mountpoint }) => mountpoint === where.mountpoint,
      ),
  }
}

t.test('a user mounts, reads, asks and unmounts', options, async t => {
  const { where, as, mounted } = await setUpUser(t)
  const user = (...args: readonly string[]) => as(...command, ...args)
  const mount = ['mount', where.origin, where.mountpoint, '--capacity', '200MiB', '--background']
  t.match(user(...mount), { status: 0, stderr: '' })
  t.match(mounted(), { type: 'fuse.parentfs', source: where.origin })
  const file = join(where.mountpoint, 'a.raw')
  const sum = createHash('sha256')
    .update(sampleBytes(image, 0, image.sizeBytes))
    .digest('hex')
  t.match(as('sha256sum', file), { stdout: new RegExp(`^${sum}`) })
  const status = JSON.parse(user('status', where.mountpoint, '--json').stdout) as Status
  t.match(status.cache.directory, join(where.top, 'home', '.cache', 'parentfs'))
  t.match(as('stat', '-c', '%u %a', file), { stdout: `${uid} 444\n` })
  for (const pid of [status.pid, status.supervisorPid]) {
    t.equal(statSync(`/proc/${pid}/environ`).uid, 0, 'a process that leaves no core is root’s to look at')
    t.match(as('cat', `/proc/${pid}/environ`), { status: 1, stdout: '' })
  }
  t.match(user('unmount', where.mountpoint), { status: 0, stderr: '' })
  t.equal(mounted(), undefined)
})

t.test('a user’s mount in use stays, and goes by force', options, async t => {
  const { where, as, mounted } = await setUpUser(t)
  t.match(as(...command, ...mountArguments(where, '--background')), { status: 0, stderr: '' })
  const script = `exec 9<"${where.mountpoint}/a.raw"; ${command.join(' ')} unmount "${where.mountpoint}"`
  const refused = as('sh', '-c', `${script}; exit $?`)
  t.equal(refused.status, 1)
  t.match(refused.stderr, /^parentfs: .*in use by \d+ \(.*--force\n$/)
  t.ok(mounted())
  t.match(as('sh', '-c', `${script} --force`), { status: 0, stderr: '' })
  t.equal(mounted(), undefined)
})

t.test('a directory that the user may not write is refused by fusermount3, in one line', options, async t => {
  const { where, as, mounted } = await setUpUser(t)
  chownSync(where.mountpoint, 0, 0)
  const refused = as(...command, ...mountArguments(where, '--log-level', 'warn'))
  t.match(refused, { status: 1, stderr: /^parentfs: mountpoint [^\n]*fusermount3: [^\n]*\n$/ })
  t.equal(mounted(), undefined)
})

t.test('what another user put where ours would be is not used, by the daemon or by who asks it', options, async t => {
  const { where, as, mounted } = await setUpUser(t)
  const user = (...args: readonly string[]) => as(...command, ...args)
  mkdirSync(where.cacheDirectory, { mode: 0o777 })
  chmodSync(where.cacheDirectory, 0o777)
  const theirs = user(...mountArguments(where, '--log-level', 'warn'))
  t.match(theirs, { status: 1, stderr: /^parentfs: [^\n]*can be written by others[^\n]*name another place[^\n]*\n$/ })
  const planted = join(where.top, 'runtime', 'parentfs')
  rmSync(planted, { recursive: true, force: true })
  mkdirSync(planted)
  chmodSync(planted, 0o777)
  const sockets = {
    status: 1,
    stderr: /^parentfs: [^\n]*runtime\/parentfs is not a directory that only you can write: remove it\n$/,
  }
  t.match(user('mount', where.origin, where.mountpoint, '--capacity', '200MiB', '--log-level', 'warn'), sockets)
  t.match(user('status', where.mountpoint), sockets)
  t.match(user('unmount', where.mountpoint), sockets)
  t.same([...readdirSync(where.cacheDirectory), ...readdirSync(planted)], [], 'nothing was written')
  t.equal(mounted(), undefined)
})
