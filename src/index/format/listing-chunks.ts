/**
 * Chunks of a listing in the index. A short listing is one value, an array of names under the key of its origin. For a
 * long one that value holds the number of chunks, and each chunk has a key of its own, so that no step of reading or
 * writing it is long.
 */
import { TimeSlice } from '../../async/time-slice.ts'
import { encodeJson, originKey } from './encoding.ts'

/** Names in one value: a millisecond to read or write. */
export const listingChunkNames = 8_192

/** The value under the key of an origin. */
type Head = readonly string[] | { readonly pieces: number }

/** Keys and values of a listing. */
export async function splitListing(origin: string, names: readonly string[]): Promise<(readonly [Buffer, Buffer])[]> {
  const headKey = originKey(origin)
  if (names.length <= listingChunkNames) return [[headKey, encodeJson(headKey, names)]]
  const pieces = Math.ceil(names.length / listingChunkNames)
  const values: (readonly [Buffer, Buffer])[] = [[headKey, encodeJson(headKey, { pieces })]]
  const turns = new TimeSlice(1)
  for (let piece = 0; piece < pieces; piece++) {
    if (turns.isOver) await turns.yield()
    const key = pieceKey(headKey, piece)
    const part = names.slice(piece * listingChunkNames, (piece + 1) * listingChunkNames)
    values.push([key, encodeJson(key, part)])
  }
  return values
}

/**
 * The names, or null where there is no listing or a piece of it is missing.
 * @param get the value of a key, decoded; null where there is none
 */
export async function joinListing(origin: string, get: <T>(key: Buffer) => T | null): Promise<string[] | null> {
  const headKey = originKey(origin)
  const head = get<Head>(headKey)
  if (head === null || !('pieces' in head)) return head as string[] | null
  const names: string[] = []
  const turns = new TimeSlice(1)
  for (let piece = 0; piece < head.pieces; piece++) {
    if (turns.isOver) await turns.yield()
    const part = get<readonly string[]>(pieceKey(headKey, piece))
    if (part === null) return null
    for (const name of part) names.push(name)
  }
  return names
}

/** The origin's key and a number (u32, big-endian). */
function pieceKey(headKey: Buffer, piece: number): Buffer {
  const key = Buffer.alloc(headKey.length + 4)
  headKey.copy(key)
  key.writeUInt32BE(piece, headKey.length)
  return key
}
