/** The lock of a mountpoint has one holder at a time, though its file comes and goes. */
import { existsSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { lockMountpoint } from '../../../src/daemon/mount/mountpoint-lock.ts'
import { type Addon, loadAddon } from '../../../src/native/addon.ts'

const addon = loadAddon()

t.test('a second one is refused until the first gives it up, and no file is left', async t => {
  const path = join(t.testdir(), 'a.lock')
  const unlock = lockMountpoint(path, '/mnt', addon)
  t.throws(() => lockMountpoint(path, '/mnt', addon), { code: 'mount-busy', message: /\/mnt .*parentfs status/ })
  unlock()
  t.notOk(existsSync(path))
  lockMountpoint(path, '/mnt', addon)()
})

t.test('a file that a killed supervisor left is no lock', async t => {
  const path = join(t.testdir({ 'a.lock': '' }), 'a.lock')
  lockMountpoint(path, '/mnt', addon)()
})

t.test('a lock on a file that its holder removed in between is taken again', async t => {
  const path = join(t.testdir(), 'a.lock')
  let times = 0
  const racing: Pick<Addon, 'lockFile' | 'closeFd'> = {
    lockFile: file => {
      const fd = addon.lockFile(file)
      if (times++ === 0) {
        unlinkSync(file)
        writeFileSync(file, '')
      }
      return fd
    },
    closeFd: fd => addon.closeFd(fd),
  }
  const unlock = lockMountpoint(path, '/mnt', racing)
  t.equal(times, 2)
  t.throws(() => lockMountpoint(path, '/mnt', addon), { code: 'mount-busy' }, 'it is the file that is there')
  unlock()
})

t.test('a directory that cannot be written to is said', async t => {
  t.throws(() => lockMountpoint(join(t.testdir(), 'nowhere', 'a.lock'), '/mnt', addon), { code: 'access-denied' })
})
