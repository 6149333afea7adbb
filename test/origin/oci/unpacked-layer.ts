/** Layers that are unpacked from the front on: what they give, and every way in which they can break off. */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { loadAddon } from '../../../src/native/addon.ts'
import type { LayerPacking } from '../../../src/origin/oci/disks.ts'
import { archiveHeadBytesMax } from '../../../src/origin/oci/limits.ts'
import { type CompressedPart, headOfLayer, type ReadBlob, streamDisk } from '../../../src/origin/oci/unpacked-layer.ts'
import { missingProgram } from '../../fixtures/server-processes.ts'

const layer = randomBytes(300_000)
const options = { place: 'r', decoders: loadAddon() }
const noZstd = missingProgram(['zstd'], 'zstd')

/** Gives a blob in pieces, and fails in the end where it is told to. */
function giving(bytes: Uint8Array, failure: Error | null = null): ReadBlob {
  return async take => {
    for (let at = 0; at < bytes.length; at += 10_000) await take(bytes.subarray(at, at + 10_000))
    if (failure) throw failure
  }
}

t.test('layers in gzip', async t => unpacked(t, 'gzip', gzipSync))
t.test('layers in Zstandard', { skip: noZstd }, async t => unpacked(t, 'zstd', inZstd))

function inZstd(bytes: Uint8Array): Buffer {
  return execFileSync('zstd', ['-c', '-q'], { input: bytes, maxBuffer: 2 ** 24 })
}

async function unpacked(t: Test, packing: LayerPacking, pack: (bytes: Uint8Array) => Buffer): Promise<void> {
  const packed = pack(layer)
  const digest = `sha256:${createHash('sha256').update(packed).digest('hex')}`
  const part: CompressedPart = { digest, blobBytes: packed.length, offset: 512, packing }
  const disk = async (read: ReadBlob, sizeBytes: number, more: Partial<CompressedPart> = {}): Promise<Buffer> => {
    const chunks: Uint8Array[] = []
    const take = async (chunk: Uint8Array) => void chunks.push(Uint8Array.from(chunk))
    await streamDisk(read, { ...part, ...more }, sizeBytes, take, options)
    return Buffer.concat(chunks)
  }

  await t.test('a disk within a layer is given from its first byte to its last', async t => {
    t.ok((await disk(giving(packed), 200_000)).equals(layer.subarray(512, 200_512)))
    const head = await headOfLayer(giving(pack(Buffer.concat(Array(20).fill(layer)))), packing, options)
    t.ok(head.length >= archiveHeadBytesMax)
    t.ok(layer.subarray(0, 100).equals(head.subarray(0, 100)))
  })

  await t.test('a registry that breaks off is told as what it is, and nobody waits for the rest', async t => {
    const failure = new Error('the connection was lost')
    await t.rejects(disk(giving(packed.subarray(0, 50_000), failure), 200_000), failure)
    await t.rejects(headOfLayer(giving(packed.subarray(0, 50_000), failure), packing, options), failure)
  })

  await t.test('a reader that leaves ends it', async t => {
    const take = async () => {
      throw new Error('the reader has left')
    }
    await t.rejects(streamDisk(giving(packed), part, 200_000, take, options), /the reader has left/)
  })

  await t.test('a layer that is not the one, cannot be unpacked or is too short gives an error', async t => {
    await t.rejects(disk(giving(packed), 200_000, { digest: `sha256:${'0'.repeat(64)}` }), { code: 'image-corrupt' })
    const broken = Buffer.from(packed).fill(0, 1000, 2000)
    await t.rejects(disk(giving(broken), 200_000), { code: 'image-corrupt' })
    await t.rejects(disk(giving(packed.subarray(0, 50_000)), 200_000), { code: 'image-corrupt' })
    await t.rejects(disk(giving(packed), layer.length), { code: 'origin-protocol' })
  })
}
