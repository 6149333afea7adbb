/**
 * Superblock of a dm-verity hash tree: its parameters, read from bytes of a stranger and written as veritysetup does.
 * Pure.
 *
 * Source: cryptsetup lib/verity/verity.c, struct verity_sb; Linux
 * Documentation/admin-guide/device-mapper/verity.rst.
 */
import { CacheError } from '../../base/errors.ts'
import { saltBytesMax, superblockBytes, treeBlockBytesMax, treeBlockBytesMin } from './limits.ts'

export const treeAlgorithms = ['sha256', 'sha512'] as const
export type TreeAlgorithm = (typeof treeAlgorithms)[number]

export const digestBytesOf: Readonly<Record<TreeAlgorithm, number>> = { sha256: 32, sha512: 64 }

/** The parameters of a tree. */
export interface TreeParameters {
  /** 1; 0 is that of Chrome OS, whose salt comes behind the block. */
  readonly hashType: 0 | 1
  readonly algorithm: TreeAlgorithm
  readonly dataBlockBytes: number
  readonly hashBlockBytes: number
  readonly dataBlocks: number
  /** In hex. */
  readonly salt: string
}

const signature = Buffer.from('verity\0\0', 'latin1')

/** Are these the first bytes of a superblock? */
export function isSuperblock(bytes: Buffer): boolean {
  return bytes.length >= superblockBytes && bytes.subarray(0, signature.length).equals(signature)
}

/**
 * @param what names the file in messages
 * @throws CacheError origin-protocol for what is no superblock, origin-unsupported for what is not supported
 */
export function parseSuperblock(bytes: Buffer, what: string): TreeParameters {
  const refuse = (why: string) => new CacheError('origin-protocol', `${what}: ${why}; it proves nothing`)
  const unsupported = (why: string) => new CacheError('origin-unsupported', `${what}: ${why}; it proves nothing`)
  if (bytes.length < superblockBytes) throw refuse(`has ${bytes.length} bytes, and a superblock has ${superblockBytes}`)
  if (!isSuperblock(bytes)) throw refuse('is no hash tree of dm-verity')
  const version = bytes.readUInt32LE(8)
  if (version !== 1) throw unsupported(`superblock version ${version} is not supported`)
  const hashType = bytes.readUInt32LE(12)
  if (hashType !== 0 && hashType !== 1) throw unsupported(`hash type ${hashType} is not supported`)
  const name = bytes.toString('latin1', 32, 64).replace(/\0.*$/s, '')
  const algorithm = treeAlgorithms.find(known => known === name)
  if (!algorithm) throw unsupported(`hash algorithm ${JSON.stringify(name)} is not supported: use sha256 or sha512`)
  const [dataBlockBytes, hashBlockBytes] = [bytes.readUInt32LE(64), bytes.readUInt32LE(68)]
  for (const [kind, size] of [
    ['data', dataBlockBytes],
    ['hash', hashBlockBytes],
  ] as const) {
    if (isBlockSize(size)) continue
    const range = `${treeBlockBytesMin} to ${treeBlockBytesMax} bytes, a power of two`
    throw refuse(`${kind} blocks of ${size} bytes are out of range: ${range}`)
  }
  if (hashBlockBytes < 2 * digestBytesOf[algorithm]) throw refuse('a hash block has room for one digest only')
  const blocks = bytes.readBigUInt64LE(72)
  if (blocks === 0n || blocks > BigInt(Math.floor(Number.MAX_SAFE_INTEGER / dataBlockBytes))) {
    throw refuse(`${blocks} data blocks are out of range`)
  }
  const saltBytes = bytes.readUInt16LE(80)
  if (saltBytes > saltBytesMax) throw refuse(`a salt of ${saltBytes} bytes is longer than ${saltBytesMax}`)
  const salt = bytes.toString('hex', 88, 88 + saltBytes)
  return { hashType, algorithm, dataBlockBytes, hashBlockBytes, dataBlocks: Number(blocks), salt }
}

/** @param uuid in hex, without dashes */
export function formatSuperblock(parameters: TreeParameters, uuid: string): Buffer {
  const { hashType, algorithm, dataBlockBytes, hashBlockBytes, dataBlocks, salt } = parameters
  const bytes = Buffer.alloc(superblockBytes)
  signature.copy(bytes)
  bytes.writeUInt32LE(1, 8)
  bytes.writeUInt32LE(hashType, 12)
  bytes.write(uuid, 16, 'hex')
  bytes.write(algorithm, 32, 'latin1')
  bytes.writeUInt32LE(dataBlockBytes, 64)
  bytes.writeUInt32LE(hashBlockBytes, 68)
  bytes.writeBigUInt64LE(BigInt(dataBlocks), 72)
  bytes.writeUInt16LE(salt.length / 2, 80)
  bytes.write(salt, 88, 'hex')
  return bytes
}

function isBlockSize(bytes: number): boolean {
  return bytes >= treeBlockBytesMin && bytes <= treeBlockBytesMax && (bytes & (bytes - 1)) === 0
}
