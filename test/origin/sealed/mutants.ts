/**
 * Hostile trees: superblocks, trees, sizes and images of which a few bytes were changed. A read gives the right bytes or
 * an error of a closed list, and asks for nothing outside of a file. `MUTANTS=100000` makes it longer.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import type { Origin } from '../../../src/origin/contract/origin.ts'
import { OriginSeals } from '../../../src/origin/sealed/origin-seals.ts'
import type { TreeParameters } from '../../../src/origin/sealed/superblock.ts'
import { TreeBuilder } from '../../../src/origin/sealed/tree-builder.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { seeded } from '../../fixtures/seeded.ts'

const addon = loadAddon()
const signal = new AbortController().signal
const mutants = Number(process.env.MUTANTS ?? 3000)
const seed = Number(process.env.SEED ?? 20261122)
const codes = ['image-corrupt', 'image-unproven', 'origin-failed', 'not-found', 'image-changed']
const url = 'memory://mutants/'

type Files = ReadonlyMap<string, Buffer>

/** Files in memory; a read outside of one is a mistake of ours. */
function originOf(
  files: Files,
  outside: string[],
  onRead: (key: string, target: Uint8Array) => void = () => {},
): Origin {
  const facts = (key: string) => {
    const bytes = files.get(key)
    if (!bytes) throw new CacheError('not-found', key)
    return { origin: url, key, sizeBytes: bytes.length, validator: 'v', modifiedMs: 0 }
  }
  return {
    url,
    list: async () => [...files.keys()],
    lookup: async key => facts(key),
    read: async ({ key }: Image, offset, target) => {
      const bytes = files.get(key)!
      if (offset < 0 || offset + target.length > bytes.length) outside.push(`${key} ${offset} ${target.length}`)
      bytes.copy(target, 0, offset, offset + target.length)
      onRead(key, target)
    },
    extentAt: async () => null,
    digest: async () => null,
    close: async () => {},
  }
}

interface Sealed {
  readonly image: Buffer
  readonly tree: Buffer
  readonly rootHash: string
}

async function sealed(parameters: Omit<TreeParameters, 'dataBlocks'>, sizeBytes: number): Promise<Sealed> {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-mutants-'))
  const [path, out] = [join(directory, 'image'), join(directory, 'tree')]
  const bytes = Buffer.from(sampleBytes({ seed: sizeBytes, sizeBytes, dataShare: 1 }, 0, sizeBytes))
  writeFileSync(path, bytes)
  const [image, tree] = [await open(path, 'r'), await open(out, 'w+')]
  const whole = { ...parameters, dataBlocks: sizeBytes / parameters.dataBlockBytes }
  const options = { parameters: whole, uuid: '00'.repeat(16), threads: 1, proofs: addon, onProgress: () => {} }
  const rootHash = await new TreeBuilder(options).build(image, tree, { signal })
  await Promise.all([image.close(), tree.close()])
  const made = { image: bytes, tree: readFileSync(out), rootHash }
  rmSync(directory, { recursive: true })
  return made
}

/** Change one of the files in one of many ways. */
function mutate(files: Map<string, Buffer>, random: () => number): void {
  const below = (max: number) => Math.floor(random() * max)
  const key = random() < 0.8 ? 'a.verity' : 'a'
  const bytes = Buffer.from(files.get(key)!)
  const edges = [0, 1, 2, 255, 511, 512, 4096, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]
  const edge = edges[below(edges.length)]!
  const way = below(7)
  if (way === 0) files.set(key, bytes.subarray(0, below(bytes.length)))
  else if (way === 1) files.set(key, Buffer.concat([bytes, Buffer.alloc(below(8192))]))
  else {
    if (way === 2 && key === 'a.verity') bytes.writeUInt32LE(edge, 4 * below(24))
    else if (way === 3 && key === 'a.verity') bytes.writeUInt16LE(below(65_536), 80)
    else
      for (let k = 0; k <= below(4); k++) {
        const at = key === 'a.verity' && random() < 0.6 ? below(344) : below(bytes.length)
        bytes[at]! ^= 1 << below(8)
      }
    files.set(key, bytes)
  }
}

t.test(`${mutants} mutants, seed ${seed}`, async t => {
  const random = seeded(seed)
  const shape = { hashType: 1, algorithm: 'sha256', salt: 'abcd' } as const
  const originals = [
    await sealed({ ...shape, dataBlockBytes: 512, hashBlockBytes: 512 }, 300 * 512),
    await sealed({ ...shape, dataBlockBytes: 4096, hashBlockBytes: 1024, algorithm: 'sha512' }, 40 * 4096),
    await sealed({ ...shape, dataBlockBytes: 1024, hashBlockBytes: 4096, salt: '' }, 1024),
  ]
  const outside: string[] = []
  const met = new Map<string, number>()
  for (let k = 0; k < mutants; k++) {
    const { image, tree, rootHash } = originals[k % originals.length]!
    const files = new Map([
      ['a', image],
      ['a.verity', tree],
    ])
    mutate(files, random)
    const seals = new OriginSeals({ url, proofs: addon, logger: keepingLogger(), onWrong: () => {}, pauseMsMin: 0 })
    const options = { verity: 'require', rootHash, certificates: [], images: new Map() } as const
    const origin = seals.around(originOf(files, outside), options, null)
    let outcome = 'read'
    try {
      const facts = identify(await origin.lookup('a', { signal }))
      const target = Buffer.alloc(facts.sizeBytes)
      await origin.read(facts, 0, target, { signal })
      if (!target.equals(image)) t.fail(`mutant ${k} of seed ${seed} was read with wrong bytes`)
    } catch (error) {
      outcome = error instanceof CacheError ? error.code : String(error)
      if (!codes.includes(outcome)) t.fail(`mutant ${k} of seed ${seed}: ${outcome}`)
    }
    met.set(outcome, (met.get(outcome) ?? 0) + 1)
    await origin.close()
  }
  t.same(outside, [], 'nothing outside of a file was asked for')
  t.comment(JSON.stringify(Object.fromEntries(met)))
  t.ok((met.get('read') ?? 0) > 0 && met.size >= 3, 'some were read, some refused')
})

t.test(`${Math.ceil(mutants / 10)} trees that change while they are read`, async t => {
  const random = seeded(seed + 1)
  const shape = { hashType: 1, algorithm: 'sha256', salt: 'abcd', dataBlockBytes: 512, hashBlockBytes: 512 } as const
  const [one, other] = [await sealed(shape, 300 * 512), await sealed(shape, 301 * 512)]
  const files = new Map([
    ['a', one.image],
    ['a.verity', one.tree],
  ])
  const met = new Map<string, number>()
  for (let k = 0; k < mutants / 10; k++) {
    const share = random()
    // Some answers are those of another tree, or of none; the version stays the same.
    const onRead = (key: string, target: Uint8Array) => {
      if (random() >= share) return
      if (key === 'a') target[Math.floor(random() * target.length)]! ^= 1
      else if (random() < 0.5) other.tree.copy(target, 0, 512 * Math.floor(random() * 20))
      else target.fill(Math.floor(random() * 256))
    }
    const outside: string[] = []
    const seals = new OriginSeals({ url, proofs: addon, logger: keepingLogger(), onWrong: () => {}, pauseMsMin: 0 })
    const rootHash = random() < 0.5 ? one.rootHash : null
    const options = { verity: 'require', rootHash, certificates: [], images: new Map() } as const
    const origin = seals.around(originOf(files, outside, onRead), options, null)
    const facts = identify(await origin.lookup('a', { signal }))
    for (let read = 0; read < 3; read++) {
      let outcome = 'read'
      try {
        const target = Buffer.alloc(facts.sizeBytes)
        await origin.read(facts, 0, target, { signal })
        // A root hash that came with the image proves nothing against its own way.
        if (rootHash !== null && !target.equals(one.image)) t.fail(`round ${k} of seed ${seed} has wrong bytes`)
      } catch (error) {
        outcome = error instanceof CacheError ? error.code : String(error)
        if (!codes.includes(outcome)) t.fail(`round ${k} of seed ${seed}: ${outcome}`)
      }
      met.set(outcome, (met.get(outcome) ?? 0) + 1)
    }
    if (outside.length > 0) t.fail(`round ${k} of seed ${seed} asked for ${outside[0]}`)
    await origin.close()
  }
  t.comment(JSON.stringify(Object.fromEntries(met)))
  t.ok((met.get('read') ?? 0) > 0 && (met.get('image-corrupt') ?? 0) > 0)
})
