/**
 * `parentfs seal` beside veritysetup: the same trees, byte by byte, and each verifies the other's.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parentfs } from '../../fixtures/daemon.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { noVeritysetup, type SealOptions, seal } from '../../fixtures/sealed-images.ts'

const uuid = '01234567-89ab-cdef-0123-456789abcdef'

const cases: readonly (readonly [number, SealOptions])[] = [
  [4096, {}],
  [2 * 4096, { salt: '' }],
  [128 * 4096, { hash: 'sha512' }],
  [129 * 4096, { salt: 'ff'.repeat(256) }],
  [9_000_448, { dataBlockBytes: 512, hashBlockBytes: 512 }],
  [9_000_448, { dataBlockBytes: 512, hashBlockBytes: 4096, hash: 'sha512', salt: '' }],
  [40 * 1024 * 1024, { dataBlockBytes: 4096, hashBlockBytes: 1024 }],
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
  const directory = t.testdir({ odd: 'x'.repeat(4097), empty: '' })
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[join(directory, 'odd')], /no whole blocks of 4096: give --data-block-size 512/],
    [[join(directory, 'empty')], /no whole blocks/],
    [[join(directory, 'none')], /cannot be sealed: no such file/],
    [[join(directory, 'odd'), '--salt', 'abc'], /a salt is 1 to 256 bytes in hex, or -/],
    [[join(directory, 'odd'), '--salt', 'ab'.repeat(257)], /a salt is 1 to 256 bytes/],
    [[join(directory, 'odd'), '--data-block-size', '1000'], /a power of two/],
    [[join(directory, 'odd'), '--hash', 'md5'], /sha256, sha512/],
  ]
  for (const [at, [words, message]] of cases.entries()) {
    const { code, stderr } = await parentfs('seal', ...words)
    t.equal(code, at < 3 ? 1 : 2)
    t.match(stderr, message)
  }
  t.notOk(existsSync(join(directory, 'odd.verity')))
  t.same(readdirSync(directory).sort(), ['empty', 'odd'])
})
