/**
 * Flipped bits at an origin, and at members that answer before it: none is served, each is counted and located.
 * `FLIPS=10000` makes it longer.
 */
import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { isCacheError } from '../../../src/base/errors.ts'
import { identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { OriginSeals } from '../../../src/origin/sealed/origin-seals.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { sampleBytes } from '../../fixtures/images.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { noVeritysetup, seal } from '../../fixtures/sealed-images.ts'
import { seeded } from '../../fixtures/seeded.ts'

const flips = Number(process.env.FLIPS ?? 400)
const seed = Number(process.env.SEED ?? 20261123)
const signal = new AbortController().signal

t.test(`${flips} flips, seed ${seed}`, { skip: noVeritysetup }, async t => {
  const random = seeded(seed)
  const blocks = flips * 8
  const sizeBytes = blocks * 4096
  const directory = t.testdir()
  const path = join(directory, 'a.raw')
  const bytes = Buffer.from(sampleBytes({ seed, sizeBytes, dataShare: 0.7 }, 0, sizeBytes))
  writeFileSync(path, bytes)
  const rootHash = seal(path, `${path}.verity`)
  const damaged = Buffer.from(bytes)
  const wrong = new Set<number>()
  while (wrong.size < flips) {
    const at = Math.floor(random() * sizeBytes)
    if (wrong.has(Math.floor(at / 4096))) continue
    wrong.add(Math.floor(at / 4096))
    damaged[at]! ^= 1 << Math.floor(random() * 8)
  }
  writeFileSync(path, damaged)
  for (const each of [path, `${path}.verity`]) utimesSync(each, 1_600_000_000, 1_600_000_000)

  const logger = keepingLogger()
  const url = pathToFileURL(directory).href
  const seals = new OriginSeals({ url, proofs: loadAddon(), logger, onWrong: () => {}, pauseMsMin: 0 })
  const options = { verity: 'require', rootHash, certificates: [], images: new Map() } as const
  const origin = seals.around(new FileOrigin(url, noHoles), options, null)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.raw', { signal }))
  const target = Buffer.alloc(4096)
  const failed = new Set<number>()
  for (let block = 0; block < blocks; block++) {
    try {
      await origin.read(image, block * 4096, target, { signal })
      if (!target.equals(bytes.subarray(block * 4096, (block + 1) * 4096))) t.fail(`wrong bytes in block ${block}`)
    } catch (error) {
      if (!isCacheError(error, 'image-corrupt')) throw error
      failed.add(block)
    }
  }
  t.same(
    [...failed].sort((a, b) => a - b),
    [...wrong].sort((a, b) => a - b),
    'each flipped block, and no other',
  )
  t.equal(seals.counters.blocks, flips * 3, 'counted at each answer')
  const located = new Set(logger.lines.flatMap(line => (line.facts as { offsets?: number[] }).offsets ?? []))
  t.equal(located.size, flips)
  t.ok(
    [...located].every(offset => wrong.has(offset / 4096)),
    'and located',
  )
})

t.test(`${flips} flips at members, seed ${seed}`, { skip: noVeritysetup }, async t => {
  const random = seeded(seed)
  const blocks = flips * 2
  const sizeBytes = blocks * 4096
  const directory = t.testdir()
  const path = join(directory, 'a.raw')
  const bytes = Buffer.from(sampleBytes({ seed, sizeBytes, dataShare: 1 }, 0, sizeBytes))
  writeFileSync(path, bytes)
  const rootHash = seal(path, `${path}.verity`)
  const url = pathToFileURL(directory).href
  const inner = new FileOrigin(url, noHoles)
  const lied = new Set<number>()
  // As a group does it: members at first, the origin itself where their bytes are disputed.
  const group = Object.assign(Object.create(inner) as typeof inner, {
    url: inner.url,
    read: async (...[image, offset, target, options]: Parameters<typeof inner.read>) => {
      await inner.read(image, offset, target, options)
      if (image.key !== 'a.raw' || options.isDisputed || random() < 0.5) return
      const at = Math.floor(random() * target.length)
      target[at]! ^= 1 << Math.floor(random() * 8)
      lied.add(offset + at - (at % 4096))
    },
    lookup: (...call: Parameters<typeof inner.lookup>) => inner.lookup(...call),
    close: () => inner.close(),
  })
  const logger = keepingLogger()
  const seals = new OriginSeals({ url, proofs: loadAddon(), logger, onWrong: () => {}, pauseMsMin: 0 })
  const options = { verity: 'require', rootHash, certificates: [], images: new Map() } as const
  const origin = seals.around(group, options, null)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.raw', { signal }))
  for (let offset = 0; offset < sizeBytes; ) {
    const target = Buffer.alloc(Math.min(sizeBytes - offset, 4096 * (1 + Math.floor(random() * 4))))
    await origin.read(image, offset, target, { signal })
    if (!target.equals(bytes.subarray(offset, offset + target.length))) t.fail(`wrong bytes at ${offset}`)
    offset += target.length
  }
  const located = logger.lines.flatMap(line => (line.facts as { offsets?: number[] }).offsets ?? [])
  t.same(located, [...lied], 'each is located')
  t.ok(lied.size > flips / 4)
  t.equal(seals.counters.blocks, lied.size, 'and counted')
})
