/**
 * Attributes and capacities in the form that fuse-native takes: arrays of 32-bit numbers.
 *
 * Source: fuse-native 2.2.6, fuse-native.c, populate_stat and populate_statvfs.
 */
import { nameBytesMax } from '../../base/limits.ts'
import type { Attributes } from '../filesystem/attributes.ts'
import type { FileSystemCapacity } from '../filesystem/file-system.ts'

/** The least unit in which statfs counts, in bytes. */
const statfsBlockBytesMin = 4096

/**
 * struct stat. Without st_ino: libfuse gives out numbers of its own, since there are 32 bits here for the 62 of a node
 * id. Times before 1970 become 1970: the struct cannot hold them.
 */
export function statReply(attributes: Attributes): Uint32Array {
  const { mode, uid, gid, links, sizeBytes, blocks, preferredBytes, modifiedMs } = attributes
  const time = halves(Math.max(0, Math.floor(modifiedMs)))
  const head = [mode, uid, gid, ...halves(sizeBytes), 0, links, 0, 0, preferredBytes, ...halves(blocks)]
  return Uint32Array.from([...head, ...time, ...time, ...time])
}

/** struct statvfs, in blocks large enough that their count has 32 bits. */
export function statfsNumbers({ totalBytes, freeBytes, files }: FileSystemCapacity): Uint32Array {
  let unit = statfsBlockBytesMin
  while (totalBytes / unit >= 2 ** 32) unit *= 2
  const free = Math.floor(freeBytes / unit)
  return Uint32Array.from([unit, unit, Math.floor(totalBytes / unit), free, free, files, 0, 0, 0, 0, nameBytesMax])
}

/** A whole number, 0 or more, as its low and its high half. */
function halves(value: number): [number, number] {
  return [value % 2 ** 32, Math.floor(value / 2 ** 32)]
}

/** The number of two halves. */
export function joined(low: number, high: number): number {
  return low + high * 2 ** 32
}
