/** Sockets of daemons that were killed go; those of living ones, and of those that are starting, stay. */
import { existsSync, mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { presenceText } from '../../../src/admin/supervisor-presence.ts'
import { lockMountpoint } from '../../../src/daemon/mount/mountpoint-lock.ts'
import { removeStaleSockets } from '../../../src/daemon/supervisor/stale-sockets.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { run } from '../../fixtures/run.ts'

const addon = loadAddon()

/** Its path is short, as those of sockets must be. */
function newDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

/** A socket with a listener until the test is over. */
async function live(t: Test, path: string): Promise<void> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(path, resolve))
  t.teardown(() => new Promise(resolve => server.close(resolve)))
}

/** A socket with a killed listener. */
const dead = (path: string) =>
  run('perl', '-MIO::Socket::UNIX', '-e', 'IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die $!', path)

t.test('dead sockets and locks that nobody holds go, all else stays', async t => {
  const directory = newDirectory(t)
  writeFileSync(join(directory, 'notes'), '')
  const at = (name: string) => join(directory, name)
  await dead(at('aa.sock'))
  writeFileSync(at('aa.lock'), '')
  await dead(at('bb.sock'))
  writeFileSync(at('cc.lock'), '')
  await live(t, at('dd.sock'))
  // One that is starting: it has the lock, and has not replaced the socket of before yet.
  await dead(at('ee.sock'))
  const unlock = lockMountpoint(at('ee.lock'), '/mnt', addon)
  t.equal(await removeStaleSockets(directory, addon), 2)
  t.same(readdirSync(directory).sort(), ['dd.sock', 'ee.lock', 'ee.sock', 'notes'])
  unlock()
  t.equal(await removeStaleSockets(directory, addon), 1)
  t.same(readdirSync(directory).sort(), ['dd.sock', 'notes'])
})

t.test('remains of a mount that a service manager holds stay: commands wait for its next supervisor', async t => {
  const directory = newDirectory(t)
  await dead(join(directory, 'aa.sock'))
  writeFileSync(join(directory, 'aa.lock'), presenceText(true, null))
  t.equal(await removeStaleSockets(directory, addon), 0)
  t.same(readdirSync(directory).sort(), ['aa.lock', 'aa.sock'])
})

t.test('nothing is waited for with a lock held: a daemon that starts finds it free', async t => {
  const directory = newDirectory(t)
  for (const name of ['aa', 'bb']) await dead(join(directory, `${name}.sock`))
  const held = new Set<number>()
  let waited = 0
  const watched = {
    closeFd: (fd: number) => {
      held.delete(fd)
      addon.closeFd(fd)
    },
    lockFile: (path: string) => {
      const fd = addon.lockFile(path)
      held.add(fd)
      queueMicrotask(() => {
        if (held.has(fd)) waited++
      })
      return fd
    },
  }
  t.equal(await removeStaleSockets(directory, watched), 2)
  t.equal(waited, 0)
})

t.test('a daemon that takes the place of a dead one while it is looked at keeps its socket', async t => {
  const directory = newDirectory(t)
  const socket = join(directory, 'aa.sock')
  await dead(socket)
  const racing = {
    closeFd: (fd: number) => addon.closeFd(fd),
    lockFile: (path: string) => {
      const fd = addon.lockFile(path)
      // It had the lock before us, and has gone from it since.
      unlinkSync(socket)
      const server = createServer().listen(socket)
      t.teardown(() => new Promise(resolve => server.close(resolve)))
      return fd
    },
  }
  t.equal(await removeStaleSockets(directory, racing), 0)
  t.ok(existsSync(socket))
})
