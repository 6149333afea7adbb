/** Paths of sockets, and the directories that are trusted. */
import { chmodSync, mkdirSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  prepareRuntimeDirectory,
  runtimeDirectory,
  socketPath,
  socketPaths,
  trustedRuntimeDirectory,
} from '../../src/admin/socket-path.ts'

const uid = process.getuid?.() ?? 0

t.test('root has /run/parentfs, others a directory of their own', async t => {
  t.equal(runtimeDirectory({ uid: 0, userDirectory: '/run/user/0' }), '/run/parentfs')
  t.equal(runtimeDirectory({ uid: 5, userDirectory: '/run/user/5' }), '/run/user/5/parentfs')
  t.match(runtimeDirectory({ uid: 5, userDirectory: undefined }), /parentfs-5$/)
})

t.test('each mountpoint has one socket, of a name that fits into an address', async t => {
  const path = socketPath(`/${'deep/'.repeat(500)}`, '/run/parentfs')
  t.match(path, /^\/run\/parentfs\/[0-9a-f]{16}\.sock$/)
  t.not(socketPath('/a', '/run/parentfs'), socketPath('/b', '/run/parentfs'))
})

t.test('the directory is made for its owner alone', async t => {
  const directory = join(t.testdir(), 'made')
  prepareRuntimeDirectory(directory, { uid, userDirectory: undefined })
  t.equal(statSync(directory).mode & 0o777, 0o700)
  prepareRuntimeDirectory(directory, { uid, userDirectory: undefined })
  t.same(socketPaths(directory), [])
  t.same(socketPaths(join(directory, 'nowhere')), [])
})

t.test('a directory that somebody else could write, or put there, is not used', async t => {
  const top = t.testdir()
  const open = join(top, 'open')
  mkdirSync(open)
  chmodSync(open, 0o777)
  t.throws(() => prepareRuntimeDirectory(open, { uid, userDirectory: undefined }), { code: 'access-denied' })
  const link = join(top, 'link')
  symlinkSync(top, link)
  t.throws(() => prepareRuntimeDirectory(link, { uid, userDirectory: undefined }), { code: 'access-denied' })
  const theirs = join(top, 'theirs')
  mkdirSync(theirs, { mode: 0o700 })
  t.throws(() => prepareRuntimeDirectory(theirs, { uid: uid + 1, userDirectory: undefined }), { code: 'access-denied' })
})

t.test(
  'a directory below one that others can write to is not used, unless only owners can replace entries',
  async t => {
    const top = t.testdir({ above: {} })
    const directory = join(top, 'above', 'parentfs')
    chmodSync(join(top, 'above'), 0o777)
    t.throws(() => prepareRuntimeDirectory(directory, { uid, userDirectory: undefined }), {
      code: 'access-denied',
      message: /above can be written by others/,
    })
    t.throws(() => trustedRuntimeDirectory({ uid: uid || 5, userDirectory: join(top, 'above') }), {
      code: 'access-denied',
    })
    chmodSync(join(top, 'above'), 0o1777)
    prepareRuntimeDirectory(directory, { uid, userDirectory: undefined })
  },
)

t.test('who asks a daemon does not ask in a directory that somebody else made', async t => {
  const userDirectory = t.testdir()
  const directory = join(userDirectory, 'parentfs')
  t.equal(trustedRuntimeDirectory({ uid: uid || 1, userDirectory }), directory, 'none is there: nobody answers')
  mkdirSync(directory, { mode: 0o700 })
  const surroundings = { uid: uid + 1, userDirectory }
  t.throws(() => trustedRuntimeDirectory(surroundings), { code: 'access-denied', message: /remove it/ })
})
