/**
 * qcow2, versions 2 and 3: header and tables. Refcounts and internal snapshots are not looked at.
 *
 * All that is read was written by a stranger. Tables and clusters have to lie within the file, so a file that was cut
 * is an error and never zeros. An image that depends on more than its file is refused.
 * Source: QEMU, docs/interop/qcow2.txt.
 */
import type { Packing } from '../../native/unpacker.ts'
import type { ReadOptions } from '../contract/origin.ts'
import { addStretch, type DiskFormat, type DiskStretch, type StreamPlace, tablePageBytesFor } from './disk-format.ts'
import { clusterBitsMax, clusterBitsMin } from './limits.ts'
import type { PackedFile } from './packed-file.ts'

const magic = 0x5146_49fb
const headerBytes = { 2: 72, 3: 104 } as const
/** As much of the header as has meaning here: up to the type of compression. */
const headerBytesMax = 105
const entryBytes = 8
const sectorBytes = 512

/** Incompatible features, by bit. Of a dirty image only the refcounts may be wrong. */
const [dirty, corrupt, externalData, compressionType, extendedL2] = [1, 2, 4, 8, 16]

interface Header {
  readonly version: 2 | 3
  readonly clusterBits: number
  readonly sizeBytes: number
  readonly l1Entries: number
  readonly l1Offset: number
  readonly packing: Packing
}

/** @throws CacheError origin-unsupported, origin-protocol, and what the origin throws */
export async function openQcow2(file: PackedFile, options: ReadOptions): Promise<DiskFormat> {
  const length = Math.min(headerBytesMax, file.sizeBytes)
  return new Qcow2Disk(file, headerIn(await file.bytes(0, length, options), file))
}

function headerIn(bytes: Buffer, file: PackedFile): Header {
  if (bytes.length < headerBytes[2] || bytes.readUInt32BE(0) !== magic) throw file.refused('it is no qcow2 image')
  const version = bytes.readUInt32BE(4)
  if (version !== 2 && version !== 3) throw file.refused(`it is of version ${version} of qcow2`)
  if (bytes.readBigUInt64BE(8) !== 0n) throw file.refused('it has a backing file')
  if (bytes.readUInt32BE(32) !== 0) throw file.refused('it is encrypted')
  const packing = version === 2 ? 'deflate' : packingIn(bytes, file)
  const clusterBits = bytes.readUInt32BE(20)
  if (clusterBits < clusterBitsMin || clusterBits > clusterBitsMax) {
    throw file.damaged(`its clusters have 2^${clusterBits} bytes`)
  }
  const sizeBytes = Number(bytes.readBigUInt64BE(24))
  const l1Entries = bytes.readUInt32BE(36)
  const l1Offset = Number(bytes.readBigUInt64BE(40))
  const clusterBytes = 2 ** clusterBits
  const needed = Math.ceil(sizeBytes / (clusterBytes * (clusterBytes / entryBytes)))
  if (l1Entries < needed) throw file.damaged(`its first table has ${l1Entries} entries in place of ${needed}`)
  if (l1Offset % clusterBytes !== 0 || l1Offset + needed * entryBytes > file.sizeBytes) {
    throw file.damaged('its first table is not within the file')
  }
  return { version, clusterBits, sizeBytes, l1Entries: needed, l1Offset, packing }
}

/** Judge the features of a header of version 3. */
function packingIn(bytes: Buffer, file: PackedFile): Packing {
  const length = bytes.length < headerBytes[3] ? 0 : bytes.readUInt32BE(100)
  if (length < headerBytes[3] || length % 8 !== 0) throw file.damaged('its header is too short')
  const features = bytes.readBigUInt64BE(72)
  const has = (feature: number) => (features & BigInt(feature)) !== 0n
  if (has(corrupt!)) throw file.refused('it is marked as corrupt: repair it with qemu-img check')
  if (has(externalData!)) throw file.refused('its data lie in another file')
  if (has(extendedL2!)) throw file.refused('it has extended L2 entries')
  const known = BigInt(dirty! | corrupt! | externalData! | compressionType! | extendedL2!)
  if ((features & ~known) !== 0n) throw file.refused(`it has unknown features (${features & ~known})`)
  const type = length > headerBytes[3] && bytes.length > headerBytes[3] ? bytes[headerBytes[3]]! : 0
  if (has(compressionType!) !== (type !== 0)) throw file.damaged('its type of compression contradicts its features')
  if (type > 1) throw file.refused(`its type of compression is unknown (${type})`)
  return type === 1 ? 'zstd' : 'deflate'
}

class Qcow2Disk implements DiskFormat {
  readonly sizeBytes: number
  readonly clusterBytes: number
  readonly tableSpanBytes: number
  readonly packing: Packing
  readonly mayEndEarly = false
  readonly #file: PackedFile
  readonly #header: Header
  readonly #pageBytes: number
  /** Clusters that one L2 table describes. */
  readonly #entries: number

  constructor(file: PackedFile, header: Header) {
    this.#file = file
    this.#header = header
    this.sizeBytes = header.sizeBytes
    this.packing = header.packing
    this.clusterBytes = 2 ** header.clusterBits
    this.#entries = this.clusterBytes / entryBytes
    this.tableSpanBytes = this.clusterBytes * this.#entries
    this.#pageBytes = tablePageBytesFor(this.clusterBytes)
  }

  async map(offset: number, length: number, options: ReadOptions): Promise<DiskStretch[]> {
    const stretches: DiskStretch[] = []
    const end = offset + length
    for (let at = offset; at < end; ) {
      const l1Index = Math.floor(at / this.tableSpanBytes)
      const to = Math.min(end, (l1Index + 1) * this.tableSpanBytes)
      await this.#mapTable(stretches, l1Index, at, to, options)
      at = to
    }
    return stretches
  }

  /** The whole stretch: bytes after the end of the stream do not matter. */
  streamIn(stored: Uint8Array): StreamPlace {
    return { begin: 0, length: stored.length }
  }

  /** Map [from, to), which one L2 table describes. */
  async #mapTable(
    stretches: DiskStretch[],
    l1Index: number,
    from: number,
    to: number,
    options: ReadOptions,
  ): Promise<void> {
    const { l1Offset } = this.#header
    const entry = await this.#file.table(l1Offset + l1Index * entryBytes, entryBytes, this.#pageBytes, options)
    const table = this.#placeOf(entry.readUInt32BE(0), entry.readUInt32BE(4), 'an L2 table')
    if (table === 0)
      return addStretch(stretches, { kind: 'hole', offset: from, length: to - from, at: 0, storedBytes: 0 })
    const first = Math.floor(from / this.clusterBytes)
    const count = Math.ceil(to / this.clusterBytes) - first
    const begin = table + (first % this.#entries) * entryBytes
    const entries = await this.#file.table(begin, count * entryBytes, this.#pageBytes, options)
    for (let k = 0; k < count; k++) {
      const cluster = (first + k) * this.clusterBytes
      const high = entries.readUInt32BE(k * entryBytes)
      const low = entries.readUInt32BE(k * entryBytes + 4)
      addStretch(
        stretches,
        this.#stretchOf(high, low, cluster, Math.max(from, cluster), Math.min(to, cluster + this.clusterBytes)),
      )
    }
  }

  /** The stretch [from, to) of the cluster at `cluster`, by the halves of its entry. */
  #stretchOf(high: number, low: number, cluster: number, from: number, to: number): DiskStretch {
    if ((high & 0x4000_0000) !== 0) return this.#packedStretchOf(high, low, cluster)
    const isZero = (low & 1) === 1
    if (isZero && this.#header.version === 2)
      throw this.#file.damaged('it has clusters of zeros, which version 2 has not')
    const place = this.#placeOf(high, (low & ~1) >>> 0, 'a cluster')
    const length = to - from
    if (isZero || place === 0) return { kind: 'hole', offset: from, length, at: 0, storedBytes: 0 }
    return { kind: 'plain', offset: from, length, at: place + from - cluster, storedBytes: length }
  }

  /** The length of a packed cluster is told in sectors: it may reach into its neighbour, or past the file's end. */
  #packedStretchOf(high: number, low: number, cluster: number): DiskStretch {
    const placeBits = 70 - this.#header.clusterBits - 32
    const at = (high & (2 ** placeBits - 1)) * 2 ** 32 + low
    const sectors = ((high & 0x3fff_ffff) >>> placeBits) + 1
    const storedBytes = Math.min(sectors * sectorBytes - (low % sectorBytes), this.#file.sizeBytes - at)
    if (high >= 0x8000_0000) throw this.#file.damaged('a packed cluster says that it is not packed')
    if (storedBytes <= 0) throw this.#file.damaged('a packed cluster lies past its end')
    const length = Math.min(this.clusterBytes, this.sizeBytes - cluster)
    return { kind: 'packed', offset: cluster, length, at, storedBytes }
  }

  /** The place that an entry of either table names; 0 for none. */
  #placeOf(high: number, low: number, what: string): number {
    const place = (high & 0x00ff_ffff) * 2 ** 32 + ((low & ~0x1ff) >>> 0)
    const reserved = (high & 0x7f00_0000) !== 0 || (low & 0x1ff) !== 0
    if (reserved || place % this.clusterBytes !== 0) throw this.#file.damaged(`an entry of ${what} makes no sense`)
    return place
  }
}
