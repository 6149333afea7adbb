/** Settings judged as a whole: defaults, limits, and what is refused. */
import { statfs } from 'node:fs/promises'
import t from 'tap'
import { checkFileSystem, configure } from '../../../src/daemon/config/configuration.ts'
import { capacityMin } from '../../../src/daemon/config/schema.ts'
import type { ConfigurationDocument } from '../../../src/daemon/config/settings.ts'

const MiB = 1024 ** 2
const root = { uid: 0, gid: 0, home: '/root' }
const origin = { url: 'http://host/images/' }
const of = (document: ConfigurationDocument, who = root) =>
  configure({ document: { origin, ...document }, mountpoint: '/mnt' }, who)

t.test('defaults depend on who mounts', async t => {
  const ours = of({})
  t.match(ours.cache.directory, /^\/var\/cache\/parentfs\/[0-9a-f]{16}$/)
  t.same(ours.attributes, { uid: 0, gid: 0, mode: 0o444 })
  t.equal(ours.allowOther, true)
  t.equal(ours.cache.capacity, 10 * 1024 * MiB)
  const theirs = of({ attributes: { uid: 5, mode: '0440' } }, { uid: 1000, gid: 100, home: '/home/x' })
  t.match(theirs.cache.directory, /^\/home\/x\/.cache\/parentfs\/[0-9a-f]{16}$/)
  t.same(theirs.attributes, { uid: 5, gid: 100, mode: 0o440 })
  t.equal(theirs.allowOther, false)
})

t.test('each origin has a default cache directory of its own', async t => {
  const directoryOf = (url: string) => of({ origin: { url } }).cache.directory
  t.equal(directoryOf('http://host/images/'), directoryOf('http://host/images/'))
  t.not(directoryOf('http://host/other/'), directoryOf('http://host/images/'))
})

t.test('the smallest capacity is taken, and a byte less is refused', async t => {
  for (const blockSize of [4096, 65536, MiB]) {
    const least = capacityMin(blockSize)
    t.equal(of({ cache: { blockSize, capacity: least } }).cache.capacity, least)
    t.throws(() => of({ cache: { blockSize, capacity: least - 1 } }), { code: 'invalid-argument' })
  }
})

t.test('passthrough is a word, or yes or no', async t => {
  t.equal(of({}).passthrough, 'auto')
  for (const word of ['auto', 'buffered', 'always', 'never']) t.equal(of({ passthrough: word }).passthrough, word)
  t.equal(of({ passthrough: true }).passthrough, 'auto')
  t.equal(of({ passthrough: false }).passthrough, 'never')
})

t.test('what is not usable is refused with its value, and what would be right', async t => {
  const cases: [ConfigurationDocument, RegExp][] = [
    [{ cache: { blockSize: 65537 } }, /block size 65537 is not a power of two/],
    [{ cache: { blockSize: 2048 } }, /block size 2048/],
    [{ cache: { blockSize: 2 * MiB } }, /block size 2097152/],
    [{ cache: { capacity: '10 parsecs' } }, /"10 parsecs" is not a size/],
    [{ cache: { highWatermark: '101%' } }, /"101%" is out of range: give 5% to 100%/],
    [{ cache: { highWatermark: '80%', lowWatermark: '81%' } }, /81% is over highWatermark, 80%/],
    [{ cache: { directory: 'relative' } }, /"relative" is not an absolute path/],
    [{ cache: { directory: `/${'x'.repeat(4095)}` } }, /is longer than 4095 bytes/],
    [{ origin: { url: 'http://host/', unixSocket: `/${'x'.repeat(107)}` } }, /is longer than 107 bytes/],
    [{ transport: 'carrier-pigeon' }, /transport "carrier-pigeon"/],
    [{ passthrough: 'direct' }, /passthrough "direct" is unknown: there is auto, buffered, always, never/],
    [{ attributes: { mode: '0644' } }, /"0644" is not a mode/],
    [{ attributes: { mode: 444 } }, /444 is not a mode: write it in quotes/],
    [{ attributes: { uid: 0xffffffff } }, /4294967295/],
    [{ log: { level: 'loud' } }, /log level "loud"/],
    [{ metrics: { port: '0.0.0.0:9100' } }, /not a port: give 1 to 65535; its address is always 127\.0\.0\.1/],
    [{ metrics: { port: 0 } }, /0 is not a port/],
    [{ metrics: { port: 65_536 } }, /65536 is not a port/],
    [{ log: [] }, /a list is not a mapping/],
    [{ allowOther: 'yes' }, /"yes" is not true or false/],
    [{ origin: { url: 'images' } }, /origin "images" is not a URL/],
    [{ origin: { url: 'gopher://me:secret@host/' } }, /gopher:\/\/host\/: not an origin.*file:\/\/, http:\/\//],
    [{ origin: { url: 'http://me:secret@host/' } }, /http:\/\/host\/: has credentials in it/],
    [{ origin: 'http://host/' }, /"http:\/\/host\/" is not an origin: write it as "url:/],
    [{ origin: {} }, /the origin has no url/],
    [{ origin: { ...origin, kind: 's4' } }, /the kinds are file, http/],
    [{ origin: { ...origin, tries: 0 } }, /0 is out of range: give 1 to 100/],
    [{ origin: { ...origin, tries: 1.5 } }, /1\.5 is not a whole number/],
    [{ origin: { ...origin, onOutage: 'panic' } }, /onOutage "panic" is unknown: there is fail, wait/],
    [{ origin: { ...origin, missTimeout: 30 } }, /"30" is not a duration/],
    [{ origin: { ...origin, retryPause: '3s' } }, /3000ms is longer than retryPauseMax/],
    [{ origin: { url: 'file:///x', stallTimeout: '1s' } }, /"stallTimeout" belongs to another kind of origin/],
  ]
  for (const [document, message] of cases) {
    t.throws(() => of(document), { code: 'invalid-argument', message })
    if (!/secret/.test(JSON.stringify(document))) continue
    try {
      of(document)
    } catch (error) {
      t.notMatch(String(error), /secret/)
    }
  }
})

t.test('limits hold at one over', async t => {
  const cases: [string, unknown, unknown][] = [
    ['requests', 1024, 1025],
    ['imageShare', 1, 1.01],
    ['hedgeShare', 0.5, 0.51],
    ['missTimeout', '1d', '86400001ms'],
    ['connectTimeout', '1h', '3600001ms'],
    ['listingSize', '1GiB', 1024 ** 3 + 1],
  ]
  for (const [key, most, more] of cases) {
    t.doesNotThrow(() => of({ origin: { ...origin, [key]: most } }), key)
    t.throws(() => of({ origin: { ...origin, [key]: more } }), /is out of range/, key)
  }
})

t.test('a capacity larger than the file system is refused, also where the directory does not exist yet', async t => {
  const directory = t.testdir()
  const { blocks, bsize } = await statfs(directory)
  const { cache } = of({ cache: { directory: `${directory}/not/yet` } })
  await checkFileSystem({ ...cache, capacity: blocks * bsize })
  const rejected = checkFileSystem({ ...cache, capacity: blocks * bsize + 1 })
  await t.rejects(rejected, { code: 'invalid-argument', message: /larger than the file system/ })
})
