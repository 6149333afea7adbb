/**
 * `parentfs seal` beside veritysetup: the same trees, byte by byte, and each verifies the other's.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { command, parentfs, patienceMs } from '../../fixtures/daemon.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { noVeritysetup, type SealOptions, seal } from '../../fixtures/sealed-images.ts'
import { until } from '../../fixtures/until.ts'

const uuid = '01234567-89ab-cdef-0123-456789abcdef'

const cases: readonly (readonly [number, SealOptions])[] = [
  [4096, {}],
  [2 * 4096, { salt: '' }],
  [128 * 4096, { hash: 'sha512' }],
  [129 * 4096, { salt: 'ff'.repeat(256) }],
  [9_000_448, { dataBlockBytes: 512, hashBlockBytes: 512 }],
  [9_000_448, { dataBlockBytes: 512, hashBlockBytes: 4096, hash: 'sha512', salt: '' }],
  [40 * 1024 * 1024, { dataBlockBytes: 4096, hashBlockBytes: 1024 }],
  [40 * 1024 * 1024, { dataBlockBytes: 65_536, hashBlockBytes: 65_536 }],
  [40 * 1024 * 1024, { dataBlockBytes: 4096, hashBlockBytes: 524_288, hash: 'sha512' }],
]

t.test('a tree is that of veritysetup', { skip: noVeritysetup }, async t => {
  const directory = t.testdir()
  const [image, own, theirs] = ['a.raw', 'own', 'theirs'].map(name => join(directory, name)) as [string, string, string]
  for (const [at, [sizeBytes, options]] of cases.entries()) {
    writeFileSync(image, sampleBytes({ seed: at + 1, sizeBytes, dataShare: 0.5 }, 0, sizeBytes))
    writeFileSync(theirs, '')
    const rootHash = seal(image, theirs, options)
    const { hash = 'sha256', dataBlockBytes = 4096, hashBlockBytes = 4096, salt = 'abcd' } = options
    const sizes = ['--data-block-size', `${dataBlockBytes}`, '--hash-block-size', `${hashBlockBytes}`]
    const words = ['--hash', hash, '--salt', salt === '' ? '-' : salt, '--uuid', uuid, '--out', own]
    const ran = await parentfs('seal', image, ...sizes, ...words)
    t.equal(`${ran.code} ${ran.stdout}`, `0 ${rootHash}\n`, JSON.stringify(options).slice(0, 80))
    t.ok(readFileSync(own).equals(readFileSync(theirs)), 'bit by bit')
    execFileSync('/usr/sbin/veritysetup', ['verify', image, own, rootHash])
  }
})

t.test('salt and UUID are random; the tree lies beside the image', { skip: noVeritysetup }, async t => {
  const directory = t.testdir()
  const image = join(directory, 'a.raw')
  writeFileSync(image, sampleBytes({ seed: 1, sizeBytes: 1_048_576 }, 0, 1_048_576))
  const roots = new Set<string>()
  for (let k = 0; k < 2; k++) {
    const { code, stdout } = await parentfs('seal', image)
    t.equal(code, 0)
    const rootHash = `${stdout}`.trim()
    roots.add(rootHash)
    execFileSync('/usr/sbin/veritysetup', ['verify', image, `${image}.verity`, rootHash])
  }
  t.equal(roots.size, 2)
  t.same(readdirSync(directory).sort(), ['a.raw', 'a.raw.verity'], 'nothing else is left')
  writeFileSync(image, 'changed', { flag: 'r+' })
  t.not(spawnSync('/usr/sbin/veritysetup', ['verify', image, `${image}.verity`, [...roots][1]!]).status, 0)
})

t.test('what cannot be sealed is refused, and leaves nothing', async t => {
  const files = { odd: 'x'.repeat(4097), small: 'x'.repeat(4608), whole: 'x'.repeat(4096), empty: '' }
  const directory = t.testdir({ ...files, link: t.fixture('symlink', 'whole') })
  execFileSync('mkfifo', [join(directory, 'pipe')])
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[join(directory, 'odd')], /no whole blocks of 4096: make the image longer/],
    [[join(directory, 'small')], /no whole blocks of 4096: give --data-block-size 512/],
    [[join(directory, 'empty')], /is empty/],
    [[join(directory, 'none')], /cannot be sealed: no such file/],
    [[directory], /is no file/],
    [[join(directory, 'pipe')], /is no file/],
    [['/dev/zero'], /is no file/],
    [[join(directory, 'whole'), '--out', join(directory, 'whole')], /--out is the image/],
    [[join(directory, 'whole'), '--out', join(directory, 'link')], /--out is the image/],
    [[join(directory, 'whole'), '--out', directory], /is no file, and not replaced/],
    [[join(directory, 'whole'), '--out', join(directory, 'pipe')], /pipe is no file, and not replaced by one/],
    [[join(directory, 'whole'), '--out', join(directory, 'none', 'tree')], /no such file or directory/],
    [[join(directory, 'odd'), '--salt', 'abc'], /a salt is 1 to 256 bytes in hex, or -/],
    [[join(directory, 'odd'), '--salt', 'ab'.repeat(257)], /a salt is 1 to 256 bytes/],
    [[join(directory, 'odd'), '--data-block-size', '1000'], /a power of two/],
    [[join(directory, 'odd'), '--hash', 'md5'], /sha256, sha512/],
  ]
  for (const [at, [words, message]] of cases.entries()) {
    const { code, stderr } = await parentfs('seal', ...words)
    t.equal(code, at < 12 ? 1 : 2, `${words}`)
    t.match(stderr, message)
  }
  t.same(readdirSync(directory).sort(), ['empty', 'link', 'odd', 'pipe', 'small', 'whole'])
  t.equal(readFileSync(join(directory, 'whole'), 'latin1'), files.whole)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`${signal} ends it, and leaves nothing`, async t => {
    const directory = t.testdir()
    const image = join(directory, 'a.raw')
    writeFileSync(image, '')
    // Holes are hashed as well: seconds of work.
    truncateSync(image, 8 * 2 ** 30)
    const sealing = spawn(command[0], [...command.slice(1), 'seal', image], { stdio: 'ignore' })
    const ended = once(sealing, 'exit')
    await until(() => readdirSync(directory).length === 2, patienceMs, 'the unfinished tree')
    sealing.kill(signal)
    t.same(await ended, [130, null])
    t.same(readdirSync(directory), ['a.raw'])
  })
}
