/**
 * VMDK, stream-optimised: header, footer, descriptor, and the tables of packed grains. Other kinds of VMDK are refused.
 *
 * The header may leave the place of the tables to a footer, because a stream knows it at its end. A grain begins with a
 * marker: its first sector on the disk, and the length of its stream.
 * Source: VMware, Virtual Disk Format 5.0; for what writers do, QEMU, block/vmdk.c.
 */
import type { ReadOptions } from '../contract/origin.ts'
import { addStretch, type DiskFormat, type DiskStretch, type StreamPlace, tablePageBytesFor } from './disk-format.ts'
import {
  descriptorBytesMax,
  grainExcessBytesMax,
  grainSectorsMax,
  grainSectorsMin,
  grainTableEntriesMax,
} from './limits.ts'
import type { PackedFile } from './packed-file.ts'

const magic = 0x564d_444b
const sectorBytes = 512
const headerBytes = 512
/** A marker, the footer and the marker of the end, one sector each. */
const footerBytes = 3 * sectorBytes
const footerMarker = 3
const markerBytes = 12
const entryBytes = 4
/** The place of the tables is in the footer. */
const atEnd = 0xffff_ffff_ffff_ffffn

const [hasZeroGrains, isPacked, hasMarkers] = [0x4, 0x1_0000, 0x2_0000]
const deflate = 1

interface Header {
  readonly flags: number
  readonly sectors: number
  readonly grainSectors: number
  readonly tableEntries: number
  readonly directory: bigint
  readonly descriptorSector: number
  readonly descriptorSectors: number
}

/** @throws CacheError origin-unsupported, origin-protocol, and what the origin throws */
export async function openVmdk(file: PackedFile, options: ReadOptions): Promise<DiskFormat> {
  const first = await file.bytes(0, Math.min(headerBytes, file.sizeBytes), options)
  const atBegin = headerIn(first, file)
  await mustStandAlone(atBegin, file, options)
  const header = atBegin.directory === atEnd ? await footerOf(file, options) : atBegin
  return new VmdkDisk(file, header)
}

function headerIn(bytes: Buffer, file: PackedFile): Header {
  if (bytes.length < headerBytes || bytes.readUInt32LE(0) !== magic) throw file.refused('it is no VMDK with an extent')
  const version = bytes.readUInt32LE(4)
  if (version < 1 || version > 3) throw file.refused(`it is of version ${version} of VMDK`)
  const flags = bytes.readUInt32LE(8)
  if ((flags & isPacked!) === 0 || (flags & hasMarkers!) === 0 || bytes.readUInt16LE(77) !== deflate) {
    throw file.refused('it is not stream-optimised')
  }
  const grainSectors = Number(bytes.readBigUInt64LE(20))
  const isPower = Number.isInteger(Math.log2(grainSectors))
  if (!isPower || grainSectors < grainSectorsMin || grainSectors > grainSectorsMax) {
    throw file.damaged(`its grains have ${grainSectors} sectors`)
  }
  const tableEntries = bytes.readUInt32LE(44)
  if (tableEntries < 1 || tableEntries > grainTableEntriesMax) {
    throw file.damaged(`its grain tables have ${tableEntries} entries`)
  }
  return {
    flags,
    sectors: Number(bytes.readBigUInt64LE(12)),
    grainSectors,
    tableEntries,
    directory: bytes.readBigUInt64LE(56),
    descriptorSector: Number(bytes.readBigUInt64LE(28)),
    descriptorSectors: Number(bytes.readBigUInt64LE(36)),
  }
}

/** The header at the end, between its marker and that of the end. */
async function footerOf(file: PackedFile, options: ReadOptions): Promise<Header> {
  if (file.sizeBytes < headerBytes + footerBytes) throw file.damaged('it has no footer')
  const bytes = await file.bytes(file.sizeBytes - footerBytes, footerBytes, options)
  if (bytes.readUInt32LE(8) !== 0 || bytes.readUInt32LE(12) !== footerMarker) throw file.damaged('it has no footer')
  const header = headerIn(bytes.subarray(sectorBytes, 2 * sectorBytes), file)
  if (header.directory === atEnd) throw file.damaged('its footer names no tables')
  return header
}

/** The descriptor has to be that of one disk in one file. */
async function mustStandAlone(header: Header, file: PackedFile, options: ReadOptions): Promise<void> {
  const { descriptorSector, descriptorSectors } = header
  const length = descriptorSectors * sectorBytes
  if (descriptorSector === 0 || length === 0) throw file.refused('it has no descriptor')
  if (length > descriptorBytesMax) throw file.damaged(`its descriptor has ${descriptorSectors} sectors`)
  const text = (await file.bytes(descriptorSector * sectorBytes, length, options)).toString('latin1').split('\0')[0]!
  const kind = /^\s*createType\s*=\s*"([^"\n]*)"/im.exec(text)?.[1]
  if (kind?.toLowerCase() !== 'streamoptimized') throw file.refused('it is not stream-optimised')
  const parent = /^\s*parentCID\s*=\s*([0-9a-f]+)/im.exec(text)?.[1]
  if (parent?.toLowerCase() !== 'ffffffff') throw file.refused('it has a parent')
  const extents = [...text.matchAll(/^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+\w+/gim)]
  if (extents.length !== 1) throw file.refused(`it has ${extents.length} extents`)
}

class VmdkDisk implements DiskFormat {
  readonly sizeBytes: number
  readonly clusterBytes: number
  readonly tableSpanBytes: number
  readonly packing = 'zlib'
  readonly mayEndEarly = true
  readonly #file: PackedFile
  readonly #directory: number
  readonly #tableBytes: number
  readonly #hasZeroGrains: boolean

  constructor(file: PackedFile, header: Header) {
    this.#file = file
    this.sizeBytes = header.sectors * sectorBytes
    this.clusterBytes = header.grainSectors * sectorBytes
    this.tableSpanBytes = this.clusterBytes * header.tableEntries
    this.#tableBytes = header.tableEntries * entryBytes
    this.#directory = Number(header.directory) * sectorBytes
    this.#hasZeroGrains = (header.flags & hasZeroGrains!) !== 0
    const tables = Math.ceil(this.sizeBytes / this.tableSpanBytes)
    if (this.#directory + tables * entryBytes > file.sizeBytes) throw file.damaged('its tables are not within the file')
  }

  async map(offset: number, length: number, options: ReadOptions): Promise<DiskStretch[]> {
    const stretches: DiskStretch[] = []
    const end = offset + length
    for (let at = offset; at < end; ) {
      const index = Math.floor(at / this.tableSpanBytes)
      const to = Math.min(end, (index + 1) * this.tableSpanBytes)
      await this.#mapTable(stretches, index, at, to, options)
      at = to
    }
    return stretches
  }

  /** A marker that names another grain, or more bytes than there are, is damage. */
  streamIn(stored: Uint8Array, { offset }: DiskStretch): StreamPlace {
    const marker = Buffer.from(stored.buffer, stored.byteOffset, stored.length)
    if (marker.length <= markerBytes) throw this.#file.damaged('a grain lies past its end')
    const length = marker.readUInt32LE(8)
    if (Number(marker.readBigUInt64LE(0)) !== offset / sectorBytes || length === 0) {
      throw this.#file.damaged(`the grain at ${offset} of its disk has the marker of another one`)
    }
    if (length > marker.length - markerBytes) throw this.#file.damaged(`the grain at ${offset} of its disk is too long`)
    return { begin: markerBytes, length }
  }

  /** Map [from, to), which one grain table describes. */
  async #mapTable(
    stretches: DiskStretch[],
    index: number,
    from: number,
    to: number,
    options: ReadOptions,
  ): Promise<void> {
    const pageBytes = tablePageBytesFor(this.#tableBytes)
    const entry = await this.#file.table(this.#directory + index * entryBytes, entryBytes, pageBytes, options)
    const table = entry.readUInt32LE(0) * sectorBytes
    if (table === 0)
      return addStretch(stretches, { kind: 'hole', offset: from, length: to - from, at: 0, storedBytes: 0 })
    // The last table may be cut with the disk.
    const grains = Math.ceil((this.sizeBytes - index * this.tableSpanBytes) / this.clusterBytes)
    const bytes = Math.min(this.#tableBytes, grains * entryBytes)
    const entries = await this.#file.table(table, bytes, pageBytes, options)
    const places = Array.from({ length: bytes / entryBytes }, (_, k) => entries.readUInt32LE(k * entryBytes))
    const following = [...places].sort((a, b) => a - b)
    const first = Math.floor((from - index * this.tableSpanBytes) / this.clusterBytes)
    for (let k = first; index * this.tableSpanBytes + k * this.clusterBytes < to; k++) {
      const grain = index * this.tableSpanBytes + k * this.clusterBytes
      addStretch(
        stretches,
        this.#stretchOf(places[k]!, following, grain, Math.max(from, grain), Math.min(to, grain + this.clusterBytes)),
      )
    }
  }

  /** A grain ends before the next one of its table begins: so a request asks for little more than its stream. */
  #stretchOf(sector: number, following: readonly number[], grain: number, from: number, to: number): DiskStretch {
    const isZero = sector === 1 && this.#hasZeroGrains
    if (sector === 0 || isZero) return { kind: 'hole', offset: from, length: to - from, at: 0, storedBytes: 0 }
    const at = sector * sectorBytes
    const most = markerBytes + this.clusterBytes + grainExcessBytesMax
    const next = nextAfter(following, sector) * sectorBytes
    const storedBytes = Math.min(most, next - at, this.#file.sizeBytes - at)
    if (storedBytes <= 0) throw this.#file.damaged('a grain lies past its end')
    return {
      kind: 'packed',
      offset: grain,
      length: Math.min(this.clusterBytes, this.sizeBytes - grain),
      at,
      storedBytes,
    }
  }
}

/** The first of the sorted numbers above `value`. */
function nextAfter(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! <= value) low = middle + 1
    else high = middle
  }
  return sorted[low] ?? Number.POSITIVE_INFINITY
}
