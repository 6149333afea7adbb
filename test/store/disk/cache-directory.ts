import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadAddon } from '../../../src/native/addon.ts'
import { checkLayout, openCacheDirectory, roomBytes } from '../../../src/store/disk/cache-directory.ts'

const addon = loadAddon()
const blockBytes = 65_536

t.test('a missing or an empty directory becomes a cache that only its owner reads', async t => {
  const base = t.testdir({ mkfs: { 'lost+found': {} } })
  for (const path of [join(base, 'deep', 'down'), join(base, 'mkfs')]) {
    const directory = openCacheDirectory(path, blockBytes, addon)
    t.match(readFileSync(join(path, 'VERSION'), 'utf8'), /^parentfs cache\nlayout \d+\nblock-bytes 65536\n$/)
    t.equal(statSync(directory.images.path).mode & 0o777, 0o700)
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
  writeFileSync(join(directory.images.path, 'a'), randomBytes(1024 ** 2), { flush: true })
  writeFileSync(join(directory.index.path, 'b'), randomBytes(1024 ** 2), { flush: true })
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
  if (uidOfLink !== 0) refuses(link, /is a link that belongs to user/, uid + 1)
  for (const name of ['theirs', 'open', 'ours']) t.same(readdirSync(join(base, name)), [])
  const directory = openCacheDirectory(link, blockBytes, addon)
  t.equal(directory.top.path, join(base, 'ours'), 'a link of our own is followed once')
  directory.unlock()
  for (const name of ['VERSION', 'images', 'index', 'trees']) {
    const { mode } = statSync(join(base, 'ours', name))
    t.equal(mode & 0o077, 0, `${name} is for nobody else`)
    chmodSync(join(base, 'ours', name), mode | 0o002)
    refuses(join(base, 'ours'), new RegExp(`${name} can be written by others`))
    chmodSync(join(base, 'ours', name), mode)
  }
  openCacheDirectory(join(base, 'ours'), blockBytes, addon).unlock()
})

t.test(
  'a place above which somebody else could exchange directories is refused, and nothing is made there',
  async t => {
    const base = t.testdir({ open: {} })
    const place = join(base, 'open', 'deep', 'cache')
    chmodSync(join(base, 'open'), 0o777)
    const refusal = { code: 'cache-foreign', message: /open can be written by others.*chmod go-w/ }
    t.throws(() => openCacheDirectory(place, blockBytes, addon), refusal)
    t.throws(() => checkLayout(place, blockBytes), refusal, 'before an upgrade, too')
    t.same(readdirSync(join(base, 'open')), [])
    chmodSync(join(base, 'open'), 0o1777)
    openCacheDirectory(place, blockBytes, addon).unlock()
  },
)

const notRoot = process.getuid?.() !== 0 && 'giving files away needs root'
t.test('what others own above a cache, and in it, is refused by name', { skip: notRoot }, async t => {
  const base = t.testdir({ theirs: {}, ours: {} })
  const [theirs, ours] = [join(base, 'theirs'), join(base, 'ours')]
  const refuses = (place: string, message: RegExp) =>
    t.throws(() => openCacheDirectory(place, blockBytes, addon), { code: 'cache-foreign', message })
  chownSync(theirs, 1001, 1001)
  refuses(join(theirs, 'cache'), /theirs belongs to user 1001, who could lead us elsewhere/)
  t.same(readdirSync(theirs), [])
  mkdirSync(join(theirs, 'cache'), { mode: 0o700 })
  symlinkSync(join(theirs, 'cache'), join(base, 'link'))
  refuses(join(base, 'link'), /theirs belongs to user 1001/)
  t.same(readdirSync(join(theirs, 'cache')), [])
  openCacheDirectory(ours, blockBytes, addon).unlock()
  for (const name of ['images/file', 'index/data.mdb', 'PROBE']) {
    const path = join(ours, name)
    writeFileSync(path, '')
    lchownSync(path, 1001, 1001)
    refuses(ours, new RegExp(`${name} belongs to user 1001, not to user 0.*: remove it`))
    lchownSync(path, 0, 0)
  }
  openCacheDirectory(ours, blockBytes, addon).unlock()
})
