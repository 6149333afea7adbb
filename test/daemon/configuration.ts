/** Settings judged as a whole: defaults, limits, and what is refused. */
import { statfs } from 'node:fs/promises'
import t from 'tap'
import { capacityMin, checkFileSystem, configure } from '../../src/daemon/configuration.ts'
import type { Settings } from '../../src/daemon/settings.ts'

const MiB = 1024 ** 2
const root = { uid: 0, gid: 0, home: '/root' }
const settings: Settings = {
  origin: 'http://host/images/',
  mountpoint: '/mnt',
  cacheDirectory: null,
  capacityBytes: null,
  blockBytes: null,
  revalidateMs: null,
  transport: 'kernel',
  attributes: { uid: null, gid: null, mode: null },
  allowOther: null,
  log: { level: 'info', pretty: false, file: null },
}

t.test('defaults depend on who mounts', async t => {
  const ours = configure(settings, root)
  t.match(ours.cacheDirectory, /^\/var\/cache\/parentfs\/[0-9a-f]{16}$/)
  t.same(ours.attributes, { uid: 0, gid: 0, mode: 0o444 })
  t.equal(ours.allowOther, true)
  t.equal(ours.capacityBytes, 10 * 1024 * MiB)
  const theirs = configure(settings, { uid: 1000, gid: 100, home: '/home/x' })
  t.match(theirs.cacheDirectory, /^\/home\/x\/.cache\/parentfs\/[0-9a-f]{16}$/)
  t.same(theirs.attributes, { uid: 1000, gid: 100, mode: 0o444 })
  t.equal(theirs.allowOther, false)
})

t.test('the default cache directory knows an origin whoever asks it', async t => {
  const directoryOf = (origin: string) => configure({ ...settings, origin }, root).cacheDirectory
  t.equal(directoryOf('http://me:secret@host/images/'), directoryOf('http://host/images/'))
  t.not(directoryOf('http://host/other/'), directoryOf('http://host/images/'))
})

t.test('the smallest capacity is taken, and a byte less is refused', async t => {
  for (const blockBytes of [4096, 65536, MiB]) {
    const least = capacityMin(blockBytes)
    t.equal(configure({ ...settings, blockBytes, capacityBytes: least }, root).capacityBytes, least)
    t.throws(() => configure({ ...settings, blockBytes, capacityBytes: least - 1 }, root), { code: 'invalid-argument' })
  }
})

t.test('what is not usable is refused with its name', async t => {
  const cases: [Partial<Settings>, RegExp][] = [
    [{ blockBytes: 65537 }, /block size 65537/],
    [{ blockBytes: 2048 }, /block size 2048/],
    [{ blockBytes: 2 * MiB }, /block size 2097152/],
    [{ transport: 'carrier-pigeon' }, /transport "carrier-pigeon"/],
    [{ origin: 'images' }, /origin "images" is not a URL/],
    [{ log: { level: 'loud', pretty: false, file: null } }, /log level "loud"/],
  ]
  for (const [change, message] of cases) {
    t.throws(() => configure({ ...settings, ...change }, root), { code: 'invalid-argument', message })
  }
})

t.test('a capacity larger than the file system is refused, also where the directory does not exist yet', async t => {
  const directory = t.testdir()
  const { blocks, bsize } = await statfs(directory)
  const configuration = configure({ ...settings, cacheDirectory: `${directory}/not/yet` }, root)
  await checkFileSystem({ ...configuration, capacityBytes: blocks * bsize })
  const rejected = checkFileSystem({ ...configuration, capacityBytes: blocks * bsize + 1 })
  await t.rejects(rejected, { code: 'invalid-argument', message: /larger than the file system/ })
})
