/** The configuration file: what it may be, and where complaints point. */
import { chmodSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ConfigurationError } from '../../../src/daemon/config/configuration-error.ts'
import { parseConfiguration, readConfigurationFile } from '../../../src/daemon/config/configuration-file.ts'
import { configurationBytesMax, configurationDepthMax, originsMax } from '../../../src/daemon/config/limits.ts'
import { directoryNodeId } from '../../../src/fuse/filesystem/backend.ts'

/** Complaints about a text; none when it is good. */
function complaints(text: string): readonly string[] {
  try {
    parseConfiguration('f', text)
    return []
  } catch (error) {
    return (error as ConfigurationError).lines
  }
}

t.test('a file says what the command line can say, and more', async t => {
  const text = `
mountpoint: /mnt/parents  # where
origin: { url: 'https://host/images/', missTimeout: 2m }
cache:
  capacity: 1.5TiB
  highWatermark: 92.5%
  scrubRate: 1MiB/s
attributes: { mode: "0440" }
`
  t.match(parseConfiguration('f', text).settings, {
    mountpoint: '/mnt/parents',
    origin: { kind: 'http', missTimeout: 120_000, tries: 3 },
    cache: { capacity: 1.5 * 1024 ** 4, highWatermark: 0.925, scrubRate: 1024 ** 2, blockSize: 65536 },
    attributes: { mode: '0440' },
  })
})

t.test('a complaint has line, column, key, value and what would be right', async t => {
  const origin = 'origin:\n  url: https://host/\n'
  const cases: [string, string | RegExp][] = [
    [
      `${origin}cache:\n  capacity: 10 parsecs\n`,
      /^f:4:13: cache\.capacity: "10 parsecs" is not a size: write it like 500MiB/,
    ],
    [
      `${origin}cache:\n  capcity: 10GiB\n`,
      'f:4:3: cache.capcity: there is no setting "capcity" here: did you mean "capacity"?',
    ],
    [
      `${origin}capacity: 10GiB\n`,
      'f:3:1: capacity: there is no setting "capacity" here: did you mean "cache.capacity"?',
    ],
    [`${origin}  timeout: 3s\n`, /^f:3:3: origin\.timeout: there is no setting "timeout" here/],
    [`${origin}zzzzzzzz: 1\n`, /^f:3:1: zzzzzzzz: there is no setting "zzzzzzzz" here: there are mountpoint, origin, /],
    [`origin:\n  url: images\n`, 'f:2:8: origin.url: origin "images" is not a URL: write it like https://host/images/'],
    [`origin:\n  tries: 2\n`, /^f:1:1: origin: the origin has no url/],
    [`${origin}log:\n  level:\n`, /^f:4:3: log\.level: log level null is unknown/],
    [`${origin}cache: {capacity: 1MiB}\n`, /^f:3:19: cache\.capacity: capacity 1MiB is too small/],
    [`${origin}cache: {blockSize: 5KiB}\n`, /^f:3:20: cache\.blockSize: block size 5120 is not a power of two/],
    [`${origin}origin:\n  url: file:///x\n`, /^f:3:1: this key is there already/],
    [`${origin}---\n${origin}`, /^f:3:1: a second document begins here: keep one/],
    [`${origin}\tlog: x\n`, /^f:3:1: /],
    [`${origin}log: !shout loud\n`, /^f:3:6: /],
    ['- a\n', /^f:1:1: a list is not a mapping of settings/],
    ['', /^f:1:1: there is no origin: write "origin:"/],
  ]
  for (const [text, complaint] of cases) {
    const [first] = complaints(text)
    if (typeof complaint === 'string') t.equal(first, complaint)
    else t.match(first, complaint)
  }
})

t.test('every complaint is there, and the first one stands for them', async t => {
  const text =
    'origin: {url: "https://host/", tries: many}\ncache: {capacity: big, blokSize: 4KiB}\nlog: {level: loud}\n'
  t.same(
    complaints(text).map(line => line.split(': ').slice(0, 2).join(' ')),
    ['f:1:39 origin.tries', 'f:2:19 cache.capacity', 'f:2:24 cache.blokSize', 'f:3:14 log.level'],
  )
  t.throws(() => parseConfiguration('f', text), { code: 'invalid-argument', message: /^f:1:39: .*\(and 3 more: / })
})

t.test('several origins have names, share a cache that is said, and are not the same', async t => {
  const several = (origins: string) => complaints(`cache: {directory: /c}\norigins:\n${origins}`)
  t.same(several('  a: {url: "file:///x"}\n  b: {url: "http://host/x"}\n'), [])
  const cases: [string, RegExp][] = [
    [
      '  a: {url: "file:///x"}\n  b/c: {url: "file:///y"}\n',
      /^f:4:3: origins\.b\/c: "b\/c" is not a name for a directory/,
    ],
    [`  ${'n'.repeat(65)}: {url: "file:///y"}\n`, /^f:3:3: .*is not a name/],
    ['  ..: {url: "file:///y"}\n', /^f:3:3: .*is not a name/],
    [
      '  a: {url: "file:///x"}\n  b: {url: "file:///y/../x/"}\n',
      /^f:4:12: origins\.b\.url: file:\/\/\/x is the origin a already/,
    ],
    [
      '  a: {url: "http://h/x"}\n  b: {url: "http://H:80/x/"}\n',
      /^f:4:12: origins\.b\.url: http:\/\/h\/x\/ is the origin a already/,
    ],
    ['  a: {url: "file:///x", tris: 1}\n', /^f:3:25: origins\.a\.tris: .*did you mean "tries"/],
    ['  a: {url: "http://h/?token=secret"}\n', /^f:3:12: origins\.a\.url: http:\/\/h\/: an origin has no query/],
    ['  {}\n', /^f:2:1: origins: there is none/],
  ]
  for (const [text, complaint] of cases) t.match(several(text)[0], complaint)
  t.match(complaints('origins: {a: {url: "file:///x"}}\n')[0], /^f:1:1: origins: several origins share one cache/)
  t.match(
    complaints('origin: {url: "file:///y"}\norigins: {a: {url: "file:///x"}}\n')[0],
    /^f:2:1: origins: origin and origins/,
  )
  const many = (n: number) => Array.from({ length: n }, (_, k) => `  o${k}: {url: "file:///${k}"}\n`).join('')
  t.same(several(many(originsMax)), [])
  t.match(several(many(originsMax + 1))[0], /^f:2:1: origins: there are 65: at most 64/)
})

t.test('two names that would share a node id do not go together', async t => {
  const seen = new Map<bigint, string>()
  for (let k = 0; ; k++) {
    const twin = seen.get(directoryNodeId(`n${k}`))
    seen.set(directoryNodeId(`n${k}`), `n${k}`)
    if (twin === undefined) continue
    const text = `cache: {directory: /c}\norigins:\n  ${twin}: {url: "file:///x"}\n  n${k}: {url: "file:///y"}\n`
    t.match(complaints(text)[0], /^f:4:3: .*cannot stand beside/)
    return
  }
})

t.test('a secret is never written in the file, and what was written is not repeated', async t => {
  const origin = (rest: string) => complaints(`origin:\n  url: "http://host/"\n  ${rest}\n`)
  const good = [
    'bearer: {file: /run/token}',
    'bearer: {env: TOKEN}',
    'bearer: {command: [/bin/cat, /run/token], refresh: 10m}',
    'basic: {username: me, password: {file: /x}}',
    'headers: {X-Tenant: seven, X-Auth-Token: {file: /x}}',
    'proxy: "http://proxy:3128"\n  proxyBasic: {username: me, password: {file: /x}}',
    'proxy: none',
  ]
  for (const text of good) t.same(origin(text), [], text)
  const cases: [string, RegExp][] = [
    ['bearer: s3cret', /^f:3:11: origin\.bearer: a secret is not written here.*: write \{file: PATH\}/],
    ['basic: {username: me, password: s3cret}', /^f:3:35: origin\.basic\.password: a secret is not written here/],
    ['basic: s3cret', /^f:3:10: origin\.basic: basic is \{username/],
    ['headers: {X-Api-Key: s3cret}', /^f:3:24: origin\.headers\.X-Api-Key: a secret is not written here/],
    ['headers: {Authorization: Basic s3cret}', /^f:3:28: origin\.headers\.Authorization: a secret is not written here/],
    ['headers: {Range: bytes=0-}', /^f:3:13: origin\.headers\.Range: the header Range is not to be set/],
    ['headers: {"a b": x}', /^f:3:13: .*is not the name of a header/],
    ['headers: {X-A: "s3cret\\nb"}', /^f:3:18: .*one line of plain text/],
    ['headers: {X-A: [s3cret]}', /^f:3:18: .*a secret is not written here/],
    ['bearer: {file: relative/s3cret}', /^f:3:11: .*absolute path/],
    ['bearer: {file: /x, env: s3cret}', /^f:3:11: .*not one place/],
    ['bearer: {vault: s3cret}', /^f:3:11: .*not one place/],
    ['bearer: {env: "s3cret!"}', /^f:3:11: .*name of a variable/],
    ['bearer: {command: cat /s3cret}', /^f:3:11: .*command is a list/],
    ['bearer: {command: [cat, s3cret]}', /^f:3:11: .*absolute path of a program/],
    ['bearer: {command: [/bin/cat], refresh: 1ms}', /^f:3:11: .*refresh is a duration of at least 1s/],
    ['bearer: {file: /x, refresh: 5m}', /^f:3:11: .*refresh goes with command only/],
    ['basic: {username: "a:b", password: {env: X}}', /^f:3:21: origin\.basic\.username: a username has no colon/],
    ['proxy: "http://me:s3cret@proxy"', /^f:3:10: origin\.proxy: .*without credentials/],
    ['proxy: "socks5://me:s3cret@proxy"', /^f:3:10: origin\.proxy: .*not a proxy/],
    ['proxyBasic: {username: me, password: {env: X}}', /^f:3:15: .*goes with proxy/],
    ['proxyBasic: {username: me, password: s3cret}', /^f:3:40: origin\.proxyBasic\.password: a secret is not/],
  ]
  for (const [text, complaint] of cases) {
    const [first] = origin(text)
    t.match(first, complaint, text)
    t.notMatch(first, /s3cret/)
  }
  t.match(origin('bearer: {env: X}\n  basic: {username: a, password: {env: Y}}')[0], /^f:3:11: .*do not go together/)
  t.match(
    complaints('origin: {url: "http://me:s3cret@host/"}')[0],
    /^f:1:15: origin\.url: http:\/\/host\/: has credentials/,
  )
})

t.test('aliases are refused where they stand, however little they stand for', async t => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]']
  for (let k = 0; k < 30; k++) bomb.push(`b${k}: &b${k} [${Array(9).fill(k === 0 ? '*a' : `*b${k - 1}`)}]`)
  const startedMs = performance.now()
  t.match(complaints(bomb.join('\n'))[0], /^f:2:10: the alias \*a is not accepted: write the value itself$/)
  t.ok(performance.now() - startedMs < 5000, 'nothing was expanded')
  t.match(complaints('origin: &o {url: "https://host/"}\nlog: *o\n')[0], /^f:2:6: the alias \*o/)
})

t.test('nesting ends before the stack does', async t => {
  const deep = (n: number) => `origin: ${'['.repeat(n)}1${']'.repeat(n)}\n`
  t.notMatch(complaints(deep(configurationDepthMax))[0], /nested/)
  t.match(complaints(`\n${deep(configurationDepthMax + 1)}`)[0], /^f:2:1: nested more than 16 deep/)
  for (const piece of ['[', '{a: ', '- ', '? ', '- - ? [']) {
    const text = piece.repeat(Math.floor(configurationBytesMax / piece.length))
    t.match(complaints(text)[0], /^f:1:1: nested/, piece)
  }
  const stairs = Array.from({ length: 300 }, (_, k) => `${' '.repeat(k)}a:`).join('\n')
  t.match(complaints(stairs)[0], /^f:\d+:1: nested/)
  t.same(complaints('origin: {url: "https://host/[[[[[[[[[[[[[[[[[[[["}\n'), [], 'brackets in text are text')
})

t.test('a file that is too long, no text or no file is refused', async t => {
  const directory = t.testdir()
  const file = join(directory, 'f.yaml')
  const least = 'origin: {url: "https://host/"}\n#'
  writeFileSync(file, least.padEnd(configurationBytesMax, 'x'))
  t.match(await readConfigurationFile(file), { settings: { origin: { kind: 'http' } } })
  writeFileSync(file, least.padEnd(configurationBytesMax + 1, 'x'))
  await t.rejects(readConfigurationFile(file), { message: /longer than 65536 bytes/ })
  writeFileSync(file, Buffer.from([0x6f, 0xff]))
  await t.rejects(readConfigurationFile(file), { message: /f\.yaml cannot be used/ })
  await t.rejects(readConfigurationFile(directory), { message: /cannot be used/ })
  await t.rejects(readConfigurationFile(join(directory, 'missing')), { message: /ENOENT/ })
})

t.test(
  'a file that others can write, or exchange, is refused where it is opened, for mount and reload alike',
  async t => {
    const directory = t.testdir({ 'p.yaml': 'origin: { url: "https://host/" }\n', open: {} })
    const file = join(directory, 'p.yaml')
    t.match(await readConfigurationFile(file), { document: { origin: { url: 'https://host/' } } })
    const refused = async (path: string, message: RegExp) =>
      t.rejects(readConfigurationFile(path), { code: 'invalid-argument', message })
    for (const mode of [0o602, 0o620]) {
      chmodSync(file, mode)
      await refused(
        file,
        /configuration file \S+p\.yaml cannot be used: \S+p\.yaml can be written by others than its owner/,
      )
    }
    chmodSync(file, 0o600)
    chmodSync(join(directory, 'open'), 0o777)
    symlinkSync(file, join(directory, 'open', 'link.yaml'))
    await refused(join(directory, 'open', 'link.yaml'), /\/open can be written by others than its owner/)
  },
)
