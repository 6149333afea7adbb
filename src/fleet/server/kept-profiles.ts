/**
 * Boot profiles that other hosts have left here, by the hash of origin and key. A profile that comes again is merged:
 * its ranges come first, and those of before that it lacks stay behind them. The least recently used go first.
 */
import { isCacheError } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import {
  type ByteRange,
  formatProfileFile,
  type ProfileFile,
  parseProfileFile,
} from '../../cache/prefetch/profile-file.ts'
import { keptProfileBytesMax, keptProfilesMax } from './limits.ts'

export class KeptProfiles {
  readonly #texts: LruMap<string, string>

  constructor(bytesMax = keptProfileBytesMax, profilesMax = keptProfilesMax) {
    const least = bytesMax / profilesMax
    this.#texts = new LruMap<string, string>(bytesMax, { weightOf: text => Math.max(least, text.length) })
  }

  get size(): number {
    return this.#texts.size
  }

  get(hash: string): string | null {
    return this.#texts.use(hash) ?? null
  }

  /** @returns false for a text that is no profile: nothing has changed */
  merge(hash: string, text: string): boolean {
    let came: ProfileFile
    try {
      came = parseProfileFile(text)
    } catch (error) {
      if (isCacheError(error)) return false
      throw error
    }
    const before = this.#texts.get(hash)
    const merged = before === undefined ? came : mergedWith(came, parseProfileFile(before))
    this.#texts.set(hash, textWithin(merged) ?? formatProfileFile(came))
    return true
  }
}

/** The text of a profile that can be read back; null where merging has made too much of it. */
function textWithin(file: ProfileFile): string | null {
  const text = formatProfileFile(file)
  try {
    parseProfileFile(text)
    return text
  } catch {
    return null
  }
}

function mergedWith(came: ProfileFile, before: ProfileFile): ProfileFile {
  if (before.sizeBytes !== came.sizeBytes || before.validator !== came.validator) return came
  const sorted = [...came.ranges].sort((a, b) => a[0] - b[0])
  const rest = before.ranges.flatMap(range => lacking(range, sorted))
  return { ...came, ranges: [...came.ranges, ...rest] }
}

/** The parts of a range that none of `sorted` has. */
function lacking([offset, length]: ByteRange, sorted: readonly ByteRange[]): ByteRange[] {
  const parts: ByteRange[] = []
  let at = offset
  for (let k = firstEndingAfter(sorted, offset); k < sorted.length; k++) {
    const [from, bytes] = sorted[k]!
    if (from >= offset + length) break
    if (from > at) parts.push([at, from - at])
    at = from + bytes
  }
  if (at < offset + length) parts.push([at, offset + length - at])
  return parts
}

/** By halving: there may be thousands. */
function firstEndingAfter(sorted: readonly ByteRange[], offset: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const [from, bytes] = sorted[middle]!
    if (from + bytes <= offset) low = middle + 1
    else high = middle
  }
  return low
}
