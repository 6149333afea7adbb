/**
 * Images proven by trees that veritysetup has made: right bytes pass, wrong ones never do.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { OriginSeals } from '../../../src/origin/sealed/origin-seals.ts'
import { noTree, type SealRecord } from '../../../src/origin/sealed/seal.ts'
import type { OriginVerifyOptions } from '../../../src/origin/sealed/verify-options.ts'
import { nothingHeld } from '../../../src/origin/sealed/version-delta.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { noVeritysetup, type SealOptions, seal } from '../../fixtures/sealed-images.ts'

const addon = loadAddon()
const signal = new AbortController().signal
const sizeBytes = 3 * 1024 * 1024
const sample = { seed: 23, sizeBytes, dataShare: 0.7 }
const required: OriginVerifyOptions = { verity: 'require', rootHash: null, certificates: [], images: new Map() }

originContract('a directory whose trees are preferred', async directory => {
  const url = pathToFileURL(directory).href
  const parts = { url, proofs: addon, logger: keepingLogger(), onWrong: () => {} }
  return new OriginSeals(parts).around(new FileOrigin(url, noHoles), { ...required, verity: 'prefer' }, null)
})

interface Bench {
  readonly directory: string
  readonly bytes: Buffer
  readonly rootHash: string
}

/** An image with its tree in a directory. */
function sealedImage(t: Test, options: SealOptions = {}, length = sizeBytes): Bench {
  const directory = t.testdir()
  const bytes = Buffer.from(sampleBytes({ ...sample, sizeBytes: length }, 0, length))
  put(join(directory, 'a.raw'), bytes)
  const rootHash = seal(join(directory, 'a.raw'), join(directory, 'a.raw.verity'), options)
  put(join(directory, 'a.raw.verity'), readFileSync(join(directory, 'a.raw.verity')))
  return { directory, bytes, rootHash }
}

/** Old enough to be a version. */
function put(path: string, bytes: Uint8Array | string, second = 1_600_000_000): void {
  writeFileSync(path, bytes)
  utimesSync(path, second, second)
}

async function opened(t: Test, directory: string, options: Partial<OriginVerifyOptions> = {}) {
  const wrong: string[] = []
  const logger = keepingLogger()
  const url = pathToFileURL(directory).href
  const onWrong = (_: Image, reason: string) => void wrong.push(reason)
  const seals = new OriginSeals({ url, proofs: addon, logger, onWrong, pauseMsMin: 1 })
  const origin = seals.around(new FileOrigin(url, noHoles), { ...required, ...options }, null)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.raw', { signal }))
  const read = async (offset = 0, length = image.sizeBytes) => {
    const target = Buffer.alloc(length)
    await origin.read(image, offset, target, { signal })
    return target
  }
  return { origin, seals, wrong, image, read, logger }
}

/** Write without another version: as a disk that lies, or a proxy. */
function damage(path: string, offset: number, bit = 0): void {
  const bytes = readFileSync(path)
  bytes[offset]! ^= 1 << bit
  put(path, bytes)
}

const shapes: readonly SealOptions[] = [
  {},
  { salt: '' },
  { salt: 'ab'.repeat(256) },
  { hash: 'sha512' },
  { dataBlockBytes: 512, hashBlockBytes: 512 },
  { dataBlockBytes: 1024, hashBlockBytes: 4096, hash: 'sha512', salt: '' },
  { dataBlockBytes: 4096, hashBlockBytes: 512 },
  { more: ['--format=0'] },
]
for (const shape of shapes) {
  t.test(`read through a tree of ${JSON.stringify(shape).slice(0, 60)}`, { skip: noVeritysetup }, async t => {
    const { directory, bytes, rootHash } = sealedImage(t, shape)
    const { read, seals, image, wrong } = await opened(t, directory, { rootHash })
    t.ok(bytes.equals(await read()))
    for (const [offset, length] of [
      [0, 1],
      [511, 2],
      [4095, 8193],
      [sizeBytes - 1, 1],
      [1_000_001, 300_007],
    ] as const) {
      t.ok(bytes.subarray(offset, offset + length).equals(await read(offset, length)), `${offset} ${length}`)
    }
    t.equal(seals.isProven(image.id), true)
    t.same(wrong, [])

    damage(join(directory, 'a.raw'), 1_234_567, 3)
    const damaged = await opened(t, directory, { rootHash })
    await t.rejects(damaged.read(1_234_000, 1000), { code: 'image-corrupt' })
    await t.rejects(damaged.read(), { code: 'image-corrupt' })
    const { dataBlockBytes = 4096 } = shape
    const offset = Math.floor(1_234_567 / dataBlockBytes) * dataBlockBytes
    t.match(damaged.seals.counters, { blocks: 6, treeBlocks: 0, latest: { image: 'a.raw', offset } })
    t.equal(damaged.wrong.length, 6, 'each answer counts')
    t.ok(bytes.subarray(0, 4096).equals(await damaged.read(0, 4096)), 'others are served')
  })
}

for (const blocks of [1, 2, 128, 129]) {
  t.test(`an image of ${blocks} blocks`, { skip: noVeritysetup }, async t => {
    const { directory, bytes, rootHash } = sealedImage(t, {}, blocks * 4096)
    const { read } = await opened(t, directory, { rootHash })
    t.ok(bytes.equals(await read()))
    const pinned = await opened(t, directory)
    t.ok(bytes.equals(await pinned.read()))
    t.match(pinned.seals.sealOf(pinned.image), { record: { rootHash, trust: 'pinned' } })
    damage(join(directory, 'a.raw'), blocks * 4096 - 1)
    const damaged = await opened(t, directory, { rootHash })
    await t.rejects(damaged.read((blocks - 1) * 4096, 1), { code: 'image-corrupt' })
  })
}

t.test('a wrong answer is asked for again', { skip: noVeritysetup }, async t => {
  const { directory, bytes, rootHash } = sealedImage(t)
  const url = pathToFileURL(directory).href
  const inner = new FileOrigin(url, noHoles)
  let lies = 2
  const lying = Object.assign(Object.create(inner) as typeof inner, {
    url: inner.url,
    read: async (...[image, offset, target, options]: Parameters<typeof inner.read>) => {
      await inner.read(image, offset, target, options)
      if (image.key === 'a.raw' && lies-- > 0) target[5]! ^= 1
    },
    lookup: (...call: Parameters<typeof inner.lookup>) => inner.lookup(...call),
    close: () => inner.close(),
  })
  const seals = new OriginSeals({ url, proofs: addon, logger: keepingLogger(), onWrong: () => {} })
  const origin = seals.around(lying, { ...required, rootHash }, null)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.raw', { signal }))
  const target = Buffer.alloc(65_536)
  await origin.read(image, 0, target, { signal })
  t.ok(bytes.subarray(0, 65_536).equals(target))
  t.match(seals.counters, { blocks: 2, latest: { offset: 0 } })
})

t.test('a tree that is damaged, of another image, cut off, or missing', { skip: noVeritysetup }, async t => {
  const { directory, rootHash } = sealedImage(t)
  const tree = join(directory, 'a.raw.verity')
  const whole = readFileSync(tree)
  const refused = async (options: Partial<OriginVerifyOptions>, code: string, what: RegExp) => {
    const { read } = await opened(t, directory, options)
    await t.rejects(read(0, 1), { code, message: what })
  }
  await refused({ rootHash: '00'.repeat(32) }, 'image-corrupt', /does not fit the root hash 0000/)
  await refused({ rootHash: '00'.repeat(64) }, 'image-unproven', /root hash has 64 bytes/)
  put(tree, whole.subarray(0, 8191))
  await refused({ rootHash }, 'image-unproven', /cut off/)
  put(tree, whole.subarray(0, 511))
  await refused({ rootHash }, 'image-unproven', /has 511 bytes/)
  put(tree, whole)
  damage(tree, whole.length - 4096 * 3 + 7)
  const { read, seals } = await opened(t, directory, { rootHash })
  await t.rejects(read(), { code: 'image-corrupt', message: /level 0 of its hash tree/ })
  t.equal(seals.counters.treeBlocks, 3)
  rmSync(tree)
  await refused({ rootHash }, 'image-unproven', /no a.raw.verity beside it/)
  const { read: preferred } = await opened(t, directory, { verity: 'prefer' })
  t.equal((await preferred()).length, sizeBytes)
})

t.test('a root hash comes beside the image, or with the tree', { skip: noVeritysetup }, async t => {
  const { directory, bytes, rootHash } = sealedImage(t)
  put(join(directory, 'a.raw.roothash'), `${rootHash.toUpperCase()}\n`)
  const { read, seals, image } = await opened(t, directory)
  t.ok(bytes.equals(await read()))
  t.match(seals.sealOf(image), { record: { rootHash, trust: 'pinned' } })
  put(join(directory, 'a.raw.roothash'), 'no hash')
  const other = await opened(t, directory)
  await t.rejects(other.read(0, 1), { code: 'image-unproven', message: /is no root hash/ })
  rmSync(join(directory, 'a.raw.roothash'))
  const third = await opened(t, directory)
  t.ok(bytes.equals(await third.read()))
  t.match(third.seals.sealOf(third.image), { record: { rootHash, trust: 'pinned' } })
})

t.test('options of a single image come before those of all', { skip: noVeritysetup }, async t => {
  const { directory, bytes } = sealedImage(t)
  damage(join(directory, 'a.raw'), 0)
  const off = { verity: 'off', rootHash: null, certificates: [] } as const
  const { read } = await opened(t, directory, { images: new Map([['a.raw', off]]) })
  t.ok(bytes.subarray(1).equals((await read()).subarray(1)))
  const { read: proven } = await opened(t, directory)
  await t.rejects(proven(0, 1), { code: 'image-corrupt' })
})

for (const shape of [
  {},
  { dataBlockBytes: 512, hashBlockBytes: 512, hash: 'sha512' },
  { dataBlockBytes: 1024, hashBlockBytes: 4096 },
  { fecRoots: 2 },
  { fecRoots: 24, salt: '' },
] as const satisfies readonly (SealOptions & { fecRoots?: number })[]) {
  t.test(`a tree behind the data: ${JSON.stringify(shape)}`, { skip: noVeritysetup }, async t => {
    const directory = t.testdir()
    const path = join(directory, 'a.raw')
    const bytes = Buffer.from(sampleBytes(sample, 0, sizeBytes))
    writeFileSync(path, bytes)
    const { dataBlockBytes = 4096 } = shape as SealOptions
    const blocks = sizeBytes / dataBlockBytes
    const more = [`--data-blocks=${blocks}`, `--hash-offset=${sizeBytes}`]
    const fecRoots = 'fecRoots' in shape ? shape.fecRoots : 0
    const rootHash = seal(path, path, { ...shape, more })
    if (fecRoots > 0) {
      // Its length, then once more with FEC behind the tree.
      const fecOffset = statSync(path).size
      seal(path, path, {
        ...shape,
        more: [...more, `--fec-device=${path}`, `--fec-offset=${fecOffset}`, `--fec-roots=${fecRoots}`],
      })
      t.ok(statSync(path).size > fecOffset)
    }
    put(path, readFileSync(path))
    const whole = readFileSync(path)
    const { read, seals, image } = await opened(t, directory, { rootHash })
    t.ok(whole.equals(await read()), 'with the tree')
    t.match(seals.sealOf(image), { record: { offset: sizeBytes, file: { key: 'a.raw' } } })
    t.ok(whole.subarray(sizeBytes - 5, sizeBytes + 9000).equals(await read(sizeBytes - 5, 9005)))
    damage(path, 70_000)
    const data = await opened(t, directory, { rootHash })
    await t.rejects(data.read(65_536, 8192), { code: 'image-corrupt' })
    put(path, whole)
    damage(path, sizeBytes + 8192 + 100)
    const tree = await opened(t, directory, { rootHash })
    await t.rejects(tree.read(), { code: 'image-corrupt' })
  })
}

t.test('a signed root hash', { skip: noVeritysetup }, async t => {
  const { directory, bytes, rootHash } = sealedImage(t)
  const at = (name: string) => join(directory, name)
  const keys: readonly (readonly [string, readonly string[]])[] = [
    ['rsa', ['-newkey', 'rsa:2048']],
    ['ec', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
  ]
  for (const [name, words] of keys) {
    const subject = ['-nodes', '-subj', `/CN=${name}`, '-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)]
    execFileSync('openssl', ['req', '-x509', ...words, ...subject], { stdio: 'pipe' })
  }
  put(at('a.raw.roothash'), rootHash)
  const sign = (words: readonly string[], key: string) => {
    const common = ['-binary', '-in', at('a.raw.roothash'), '-signer', at(`${key}.pem`), '-inkey', at(`${key}.key`)]
    execFileSync('openssl', [...words, ...common, '-out', at('a.raw.roothash.p7s')], { stdio: 'pipe' })
    put(at('a.raw.roothash.p7s'), readFileSync(at('a.raw.roothash.p7s')))
  }
  const certificate = (name: string) => readFileSync(at(`${name}.pem`), 'utf8')
  const ways: readonly (readonly [readonly string[], string])[] = [
    [['smime', '-sign', '-nocerts', '-noattr', '-outform', 'DER'], 'rsa'],
    [['smime', '-sign', '-outform', 'PEM'], 'ec'],
    [['cms', '-sign', '-outform', 'DER'], 'ec'],
    [['cms', '-sign', '-outform', 'PEM', '-keyopt', 'rsa_padding_mode:pss'], 'rsa'],
  ]
  for (const [words, key] of ways) {
    const isPss = words.includes('-keyopt')
    if (isPss) {
      const common = ['-binary', '-in', at('a.raw.roothash'), '-signer', at(`${key}.pem`), '-inkey', at(`${key}.key`)]
      const options = ['-keyopt', 'rsa_padding_mode:pss', '-outform', 'PEM', '-out', at('a.raw.roothash.p7s')]
      execFileSync('openssl', ['cms', '-sign', ...common, ...options], { stdio: 'pipe' })
      put(at('a.raw.roothash.p7s'), readFileSync(at('a.raw.roothash.p7s')))
    } else sign(words, key)
    const { read, seals, image } = await opened(t, directory, { certificates: [certificate('rsa'), certificate('ec')] })
    t.ok(bytes.equals(await read()), `${words} ${key}`)
    t.match(seals.sealOf(image), { record: { rootHash, trust: 'signed' } })
    const other = key === 'rsa' ? 'ec' : 'rsa'
    const wrong = await opened(t, directory, { certificates: [certificate(other)] })
    await t.rejects(wrong.read(0, 1), { code: 'image-corrupt', message: /not by one of the certificates/ })
    const preferred = await opened(t, directory, { verity: 'prefer', certificates: [certificate(other)] })
    await t.rejects(preferred.read(0, 1), { code: 'image-corrupt' }, 'a wrong signature is no missing one')
  }
  // A record of before holds as long as its certificate does.
  const kept = new Map<string, SealRecord>()
  const { seals: keeping, image: known } = await opened(t, directory)
  const putRecord = async ({ id }: Image, record: SealRecord) => void kept.set(id, record)
  keeping.keepIn({ record: id => kept.get(id) ?? null, putRecord, tree: () => noTree }, nothingHeld)
  const bare = () => new FileOrigin(pathToFileURL(directory).href, noHoles)
  const readBy = (...names: string[]) => {
    const origin = keeping.around(bare(), { ...required, certificates: names.map(certificate) }, null)
    t.teardown(() => origin.close())
    return origin.read(known, 0, Buffer.alloc(4096), { signal })
  }
  await readBy('ec', 'rsa')
  t.match([...kept.values()], [{ trust: 'signed', signer: /^[0-9a-f]{64}$/ }])
  rmSync(at('a.raw.roothash'))
  await readBy('rsa')
  await t.rejects(
    readBy('ec'),
    { code: 'image-unproven', message: /\/a\.raw: .*no a.raw.roothash beside/ },
    'it has gone',
  )
  put(at('a.raw.roothash'), 'ab'.repeat(32))
  const changed = await opened(t, directory, { certificates: [certificate('rsa')] })
  await t.rejects(changed.read(0, 1), { code: 'image-corrupt', message: /of another text/ })
  rmSync(at('a.raw.roothash.p7s'))
  const unsigned = await opened(t, directory, { certificates: [certificate('rsa')] })
  await t.rejects(unsigned.read(0, 1), { code: 'image-unproven', message: /no a.raw.roothash.p7s/ })
})
