/**
 * Sizes of packed files as their formats state them: the indexes at the ends of xz streams, the header of a Zstandard
 * frame. Null where a file does not say it for sure. Pure but for the given read.
 *
 * Source: the .xz file format 1.2.1, sections 1.2, 2.1.2 and 4; RFC 8878 3.1.1; Zstandard, seekable_format 0.1.0.
 */
import { xzIndexBytesMax, xzStreamsMax } from './limits.ts'

/** Reads the bytes [offset, offset + length) of the packed file. */
export type ReadPacked = (offset: number, length: number) => Promise<Buffer>

const xzFooterBytes = 12
const xzHeaderBytes = 12
const zstdMagic = 0xfd2fb528
const seekTableMagic = 0x8f92eab1

/** The size of an xz file unpacked: the sum over its streams, which are found from the end. */
export async function xzSize(packedBytes: number, read: ReadPacked): Promise<number | null> {
  let [end, total] = [packedBytes, 0]
  for (let streams = 0; streams < xzStreamsMax && end >= xzHeaderBytes + xzFooterBytes; streams++) {
    const footer = await read(end - xzFooterBytes, xzFooterBytes)
    // Padding between and after streams.
    if (footer.readUInt32LE(8) === 0) {
      end -= 4
      continue
    }
    const indexBytes = (footer.readUInt32LE(4) + 1) * 4
    const indexAt = end - xzFooterBytes - indexBytes
    if (footer.toString('latin1', 10) !== 'YZ' || indexBytes > xzIndexBytesMax || indexAt < xzHeaderBytes) return null
    const sums = sumsOfIndex(await read(indexAt, indexBytes))
    if (sums === null) return null
    total += sums.unpackedBytes
    end = indexAt - sums.blockBytes - xzHeaderBytes
    if (end === 0) return Number.isSafeInteger(total) ? total : null
  }
  return null
}

/** Bytes of all blocks of a stream, packed and unpacked. */
function sumsOfIndex(index: Buffer): { readonly blockBytes: number; readonly unpackedBytes: number } | null {
  let at = 1
  const next = (): number => {
    let value = 0
    for (let shift = 0; shift < 63; shift += 7) {
      const byte = index[at++]
      if (byte === undefined) return Number.NaN
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return Number.NaN
  }
  const records = index[0] === 0 ? next() : Number.NaN
  // A record has two bytes at least.
  if (!(records <= index.length / 2)) return null
  let [blockBytes, unpackedBytes] = [0, 0]
  for (let k = 0; k < records; k++) {
    blockBytes += Math.ceil(next() / 4) * 4
    unpackedBytes += next()
  }
  return Number.isSafeInteger(blockBytes) && Number.isSafeInteger(unpackedBytes) ? { blockBytes, unpackedBytes } : null
}

/**
 * The content size of the first frame: that of the file, where it is the only one. Files of several frames that tools
 * make begin with a skippable frame (pzstd) or end in a seek table; others come to light when they are unpacked.
 */
export async function zstdSize(packedBytes: number, read: ReadPacked): Promise<number | null> {
  if (packedBytes < 18) return null
  if ((await read(packedBytes - 4, 4)).readUInt32LE(0) === seekTableMagic) return null
  const header = await read(0, 18)
  if (header.readUInt32LE(0) !== zstdMagic) return null
  const descriptor = header[4]!
  const isSingle = (descriptor & 0x20) !== 0
  const at = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!
  switch (descriptor >> 6) {
    case 0:
      return isSingle ? header[at]! : null
    case 1:
      return header.readUInt16LE(at) + 256
    case 2:
      return header.readUInt32LE(at)
    default: {
      const size = Number(header.readBigUInt64LE(at))
      return Number.isSafeInteger(size) ? size : null
    }
  }
}
