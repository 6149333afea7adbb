/**
 * Packed images as a stranger may write them: headers, tables and streams are changed at random. Each read ends, asks
 * within the file and within its bounds, and gives an error or bytes; where qemu-img can read the image, they are its
 * bytes. MUTANTS=n sets their number, SEED=n another chance.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isCacheError } from '../../../src/base/errors.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import type { ReadOptions } from '../../../src/origin/contract/origin.ts'
import { RawViewOrigin } from '../../../src/origin/views/raw-view.ts'
import { qcow2Of, vmdkOf } from '../../fixtures/disk-images.ts'
import { noQemuImg, unpackedByQemu } from '../../fixtures/qemu-images.ts'
import { ScriptedOrigin } from '../../fixtures/scripted-origin.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

const mutants = Number(process.env.MUTANTS ?? 2000)
/** Mutants that are shown to qemu-img: it takes 20 ms for each. */
const shownMax = 60
/** Of a disk that says to be larger, single places are read. */
const wholeBytesMax = 1024 * 1024
const requestBytesMax = 5 * 1024 * 1024
const unpacker = loadAddon()

const disk = Buffer.alloc(200 * 1024)
for (let at = 0; at < disk.length; at += 8)
  if (at % 50_000 < 30_000) disk.write(`${at.toString(36)} words`, at, 'latin1')

interface Original {
  readonly format: 'qcow2' | 'vmdk'
  readonly bytes: Buffer
  /** Places where changes matter. */
  readonly tables: readonly (readonly [from: number, to: number])[]
}

function originals(): Original[] {
  const isPacked = (cluster: number) => cluster % 2 === 1
  const qcow2 = [9, 12, 16].map(clusterBits => {
    const bytes = qcow2Of(disk, { clusterBits, version: clusterBits === 12 ? 2 : 3, isPacked })
    const tables = 2 ** clusterBits
    return {
      format: 'qcow2',
      bytes,
      tables: [
        [0, 112],
        [tables, tables + 64],
        [2 * tables, 2 * tables + 512],
      ],
    } as const
  })
  const vmdk = vmdkOf(disk, 16)
  const end = vmdk.length
  return [
    ...qcow2,
    {
      format: 'vmdk',
      bytes: vmdk,
      tables: [
        [0, 512],
        [512, 800],
        [end - 5120, end],
        [65_536, 65_560],
      ],
    },
  ]
}

/** Numbers at which arithmetic goes wrong. */
const extremes = [
  0n,
  1n,
  2n,
  511n,
  512n,
  65_536n,
  0x7fff_ffffn,
  0xffff_ffffn,
  1n << 40n,
  1n << 53n,
  1n << 62n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
]

function mutate(original: Original, random: () => number): Buffer {
  const bytes = Buffer.from(original.bytes)
  const changes = between(random, 1, 4)
  for (let change = 0; change < changes; change++) {
    const [from, to] = original.tables[between(random, 0, original.tables.length)]!
    const at = between(random, from, Math.min(to, bytes.length) - 8)
    switch (between(random, 0, 6)) {
      case 0:
        bytes[at] = between(random, 0, 256)
        break
      case 1:
        bytes[at]! ^= 1 << between(random, 0, 8)
        break
      case 2:
        bytes.writeBigUInt64BE(extremes[between(random, 0, extremes.length)]!, at - (at % 8))
        break
      case 3:
        bytes.writeBigUInt64LE(extremes[between(random, 0, extremes.length)]!, at - (at % 4))
        break
      case 4: // One entry becomes another one: two places share a cluster, or a table is its own cluster.
        bytes.copy(bytes, at - (at % 8), from, from + 8)
        break
      default:
        bytes[between(random, 0, bytes.length)] = between(random, 0, 256)
    }
  }
  return random() < 0.05 ? bytes.subarray(0, between(random, 0, bytes.length)) : bytes
}

/** A file whose reads have to lie within it, and within the bounds of requests. */
class WatchedOrigin extends ScriptedOrigin {
  readonly #sizeBytes: number
  offences: string[] = []

  constructor(name: string, bytes: Buffer) {
    super({ [name]: bytes })
    this.#sizeBytes = bytes.length
  }

  override async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const isWithin = Number.isSafeInteger(offset) && offset >= 0 && offset + target.length <= this.#sizeBytes
    if (!isWithin || target.length > requestBytesMax) this.offences.push(`${target.length} bytes at ${offset}`)
    await super.read(image, offset, target, options)
  }
}

/** The whole disk; null for an error, or for one that is too large to be read whole. */
async function readMutant(origin: WatchedOrigin, random: () => number): Promise<Buffer | null> {
  const { signal } = new AbortController()
  const view = new RawViewOrigin(origin, { unpacker, logger: silentLogger })
  try {
    const image = identify(await view.lookup('x.raw', { signal }))
    for (let at = 0, steps = 0; at < image.sizeBytes && steps < 50; steps++) {
      const { end } = (await view.extentAt(image, at, { signal }))!
      if (!(end > at && end <= image.sizeBytes)) origin.offences.push(`an extent from ${at} to ${end}`)
      at = end
    }
    if (image.sizeBytes <= wholeBytesMax) {
      const whole = Buffer.alloc(image.sizeBytes)
      await view.read(image, 0, whole, { signal })
      return whole
    }
    for (let k = 0; k < 4; k++) {
      const offset = Math.floor(random() * (image.sizeBytes - 4096))
      await view.read(image, offset, new Uint8Array(4096), { signal })
    }
  } catch (error) {
    if (!isCacheError(error, 'origin-unsupported', 'origin-protocol')) throw error
  }
  return null
}

t.test(`${mutants} mutants (SEED=${seed})`, { timeout: 86_400_000 }, async t => {
  const random = seeded(seed)
  const sources = originals()
  const directory = t.testdir()
  const counts = { errors: 0, read: 0, shown: 0, agreed: 0 }
  for (let k = 0; k < mutants; k++) {
    const original = sources[between(random, 0, sources.length)]!
    const bytes = mutate(original, random)
    const origin = new WatchedOrigin(`x.${original.format}`, bytes)
    const read = await readMutant(origin, random)
    if (origin.offences.length > 0) t.fail(`mutant ${k}: ${origin.offences.join('; ')}`)
    if (read === null) counts.errors++
    else counts.read++
    if (read === null || noQemuImg || counts.shown >= shownMax || random() > (shownMax * 4) / mutants) continue
    counts.shown++
    const path = join(directory, `mutant.${original.format}`)
    writeFileSync(path, bytes)
    const theirs = unpackedByQemu(path, original.format)
    if (theirs === null) continue
    counts.agreed++
    // qemu-img counts whole sectors.
    const isSame = read.length - theirs.length < 512 && read.subarray(0, theirs.length).equals(theirs)
    if (!isSame) t.fail(`mutant ${k}: qemu-img reads other bytes`)
    rmSync(path)
  }
  t.comment(
    `${counts.errors} errors, ${counts.read} read whole, ${counts.agreed} of ${counts.shown} as qemu-img reads them`,
  )
  t.ok(counts.read > 0 && counts.errors > 0)
  const usedMiB = process.memoryUsage().rss / 1024 / 1024
  t.ok(usedMiB < 1024, `${Math.round(usedMiB)} MiB of memory`)
})
