import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadAddon } from '../../src/native/addon.ts'
import { openCacheDirectory, roomBytes } from '../../src/store/cache-directory.ts'

const addon = loadAddon()
const blockBytes = 65_536

t.test('a missing or an empty directory becomes a cache that only its owner reads', async t => {
  const base = t.testdir({ mkfs: { 'lost+found': {} } })
  for (const path of [join(base, 'deep', 'down'), join(base, 'mkfs')]) {
    const directory = openCacheDirectory(path, blockBytes, addon)
    t.match(readFileSync(join(path, 'VERSION'), 'utf8'), /^parentfs cache\nlayout \d+\nblock-bytes 65536\n$/)
    t.equal(statSync(directory.imagesPath).mode & 0o777, 0o700)
    directory.unlock()
  }
})

t.test('a directory with something else in it is refused and left as it is', async t => {
  const path = t.testdir({ 'precious.txt': 'mine' })
  t.throws(() => openCacheDirectory(path, blockBytes, addon), { code: 'cache-foreign' })
  t.throws(() => statSync(join(path, 'VERSION')))
  const other = t.testdir({ VERSION: '2.0.1\n' })
  t.throws(() => openCacheDirectory(other, blockBytes, addon), { code: 'cache-foreign' })
})

t.test('a second daemon is refused until the first has gone', async t => {
  const path = t.testdir()
  const first = openCacheDirectory(path, blockBytes, addon)
  t.throws(() => openCacheDirectory(path, blockBytes, addon), { code: 'cache-locked' })
  first.unlock()
  first.unlock()
  openCacheDirectory(path, blockBytes, addon).unlock()
})

t.test('another layout or another block size is refused, and the lock is free afterwards', async t => {
  const path = t.testdir()
  openCacheDirectory(path, blockBytes, addon).unlock()
  t.throws(() => openCacheDirectory(path, 4096, addon), { code: 'cache-layout', message: /--block-size 65536/ })
  openCacheDirectory(path, blockBytes, addon).unlock()
  writeFileSync(join(path, 'VERSION'), 'parentfs cache\nlayout 999\nblock-bytes 65536\n')
  t.throws(() => openCacheDirectory(path, blockBytes, addon), { code: 'cache-layout', message: /999/ })
})

t.test('a path that is no directory, or cannot be made, says store-failed', async t => {
  const path = t.testdir({ file: '' })
  t.throws(() => openCacheDirectory(join(path, 'file', 'below'), blockBytes, addon), { code: 'store-failed' })
})

t.test('the room in a cache directory is what its ceiling leaves', async t => {
  const path = t.testdir()
  const directory = openCacheDirectory(path, blockBytes, addon)
  const before = roomBytes(directory, 8 * 1024 ** 2)
  writeFileSync(join(directory.imagesPath, 'a'), randomBytes(1024 ** 2), { flush: true })
  writeFileSync(join(directory.indexPath, 'b'), randomBytes(1024 ** 2), { flush: true })
  const taken = before - roomBytes(directory, 8 * 1024 ** 2)
  t.ok(taken >= 2 * 1024 ** 2 && taken < 2.1 * 1024 ** 2, `${taken} bytes taken`)
  t.equal(roomBytes(directory, 1024 ** 2), 0)
  const { bavail, blocks, bsize } = statfsSync(path)
  t.ok(
    roomBytes(directory, Number.MAX_SAFE_INTEGER) < (bavail - blocks * 0.04) * bsize,
    'and what the disk must keep free',
  )
  directory.unlock()
})

t.test('a directory that others own, can write, or lead us to is refused, and left as it is', async t => {
  const base = t.testdir({ theirs: {}, open: {}, ours: {} })
  const uid = process.geteuid!()
  const refuses = (path: string, message: RegExp, as = uid) =>
    t.throws(() => openCacheDirectory(path, blockBytes, addon, as), { code: 'cache-foreign', message })
  refuses(join(base, 'theirs'), /belongs to user \d+, not to user \d+.*: name another directory/, uid + 1)
  chmodSync(join(base, 'open'), 0o770)
  refuses(join(base, 'open'), /can be written by others.*chmod go-w/)
  const link = join(base, 'link')
  symlinkSync(join(base, 'ours'), link)
  const uidOfLink = lstatSync(link).uid
  if (uidOfLink !== 0) refuses(link, /is a link of user/, uid + 1)
  for (const name of ['theirs', 'open', 'ours']) t.same(readdirSync(join(base, name)), [])
  const directory = openCacheDirectory(link, blockBytes, addon)
  t.equal(directory.path, join(base, 'ours'), 'a link of our own is followed once')
  directory.unlock()
  for (const name of ['VERSION', 'images', 'index']) {
    const { mode } = statSync(join(base, 'ours', name))
    t.equal(mode & 0o077, 0, `${name} is for nobody else`)
    chmodSync(join(base, 'ours', name), mode | 0o002)
    refuses(join(base, 'ours'), new RegExp(`${name} can be written by others`))
    chmodSync(join(base, 'ours', name), mode)
  }
  openCacheDirectory(join(base, 'ours'), blockBytes, addon).unlock()
})
