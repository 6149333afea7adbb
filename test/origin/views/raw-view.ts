/**
 * Raw views of packed images: each byte is that of the disk, as qemu-img unpacks it.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import type { Origin } from '../../../src/origin/contract/origin.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { RawViewOrigin } from '../../../src/origin/views/raw-view.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { randomFrom } from '../../fixtures/images.ts'
import { convert, noQemuImg, unpackedByQemu } from '../../fixtures/qemu-images.ts'

const { signal } = new AbortController()
const unpacker = loadAddon()

/** A disk of stretches of noise, text and zeros, some of them shorter than a cluster. */
function diskBytes(sizeBytes: number, seed: number): Buffer {
  const random = randomFrom(seed)
  const disk = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; ) {
    const length = Math.min(sizeBytes - at, 1 + Math.floor(random() ** 3 * 300_000))
    const kind = Math.floor(random() * 3)
    if (kind === 0) for (let k = 0; k < length; k++) disk[at + k] = Math.floor(random() * 256)
    if (kind === 1) disk.fill(`line ${at} of some text, which packs well. `, at, at + length)
    at += length
  }
  return disk
}

function viewOf(directory: string): RawViewOrigin {
  return new RawViewOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles), { unpacker, logger: silentLogger })
}

/** The whole, and pieces at random, are those of `disk`; extents cover it, and holes are zeros. */
async function mustBe(t: Test, origin: Origin, name: string, disk: Buffer): Promise<void> {
  const image = identify(await origin.lookup(name, { signal }))
  t.equal(image.sizeBytes, disk.length, 'the size is that of the disk')
  t.ok((await readAll(origin, image)).equals(disk), 'the whole')
  const random = randomFrom(7)
  for (let k = 0; k < 40; k++) {
    const offset = Math.floor(random() * disk.length)
    const target = new Uint8Array(1 + Math.floor(random() ** 4 * (disk.length - offset - 1)))
    await origin.read(image, offset, target, { signal })
    if (!disk.subarray(offset, offset + target.length).equals(target)) t.fail(`${target.length} bytes at ${offset}`)
  }
  for (let at = 0; at < disk.length; ) {
    const { hole, end } = (await origin.extentAt(image, at, { signal }))!
    if (end <= at || end > disk.length) return void t.fail(`an extent from ${at} to ${end}`)
    if (hole && disk.subarray(at, end).some(byte => byte !== 0)) t.fail(`no hole: ${at} to ${end}`)
    at = end
  }
}

async function readAll(origin: Origin, image: Image): Promise<Buffer> {
  const whole = Buffer.alloc(image.sizeBytes)
  await origin.read(image, 0, whole, { signal })
  return whole
}

const kinds: readonly [name: string, format: string, options: string, packed: boolean][] = [
  ['version 2', 'qcow2', 'compat=0.10', false],
  ['version 2, zlib', 'qcow2', 'compat=0.10', true],
  ['version 3', 'qcow2', '', false],
  ['version 3, zlib', 'qcow2', '', true],
  ['version 3, zstd', 'qcow2', 'compression_type=zstd', true],
  ['clusters of 512 bytes', 'qcow2', 'cluster_size=512', false],
  ['clusters of 512 bytes, zlib', 'qcow2', 'cluster_size=512', true],
  ['clusters of 4 KiB, zlib', 'qcow2', 'cluster_size=4096', true],
  ['clusters of 4 KiB, zstd', 'qcow2', 'cluster_size=4096,compression_type=zstd', true],
  ['clusters of 2 MiB', 'qcow2', 'cluster_size=2M', false],
  ['clusters of 2 MiB, zlib', 'qcow2', 'cluster_size=2M', true],
  ['clusters of 2 MiB, zstd', 'qcow2', 'cluster_size=2M,compression_type=zstd', true],
  ['allocated before', 'qcow2', 'preallocation=metadata', false],
  ['lazy refcounts', 'qcow2', 'lazy_refcounts=on', false],
  ['stream-optimised', 'vmdk', 'subformat=streamOptimized', false],
]

/** A size that is no multiple of a cluster, one that is none of a sector, and some others. */
const sizes = [5 * 1024 * 1024 + 7 * 512, 1_234_567, 4 * 1024 * 1024, 512]

for (const [name, format, options, packed] of kinds) {
  t.test(`${format}: ${name}`, { skip: noQemuImg }, async t => {
    const directory = t.testdir()
    const origin = viewOf(directory)
    for (const [index, sizeBytes] of sizes.entries()) {
      const raw = join(directory, 'source')
      const path = join(directory, `${index}.${format}`)
      writeFileSync(raw, diskBytes(sizeBytes, index + 1))
      convert(raw, path, format, options, packed)
      await mustBe(t, origin, `${index}.raw`, unpackedByQemu(path, format)!)
    }
    await origin.close()
  })
}
