/**
 * Profile file: a boot profile as publishers put it beside an image, and as `parentfs profile export` prints it. Pure.
 *
 * It is JSON with ranges of bytes, so that caches of any block size can use it, and names the version that it was
 * recorded from. Every file is taken for hostile: its numbers are bounded before anything is made of them.
 */

import { CacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { ProfileRecord } from '../../index/format/records.ts'
import { profileBytesMax, profileRunsMax } from '../fetch/limits.ts'
import { profileFileBytesMax, profileValidatorCharsMax } from './limits.ts'

/** The format that is written, and the only one that is read. */
const [format, version] = ['parentfs-profile', 1] as const

/** Offset and length in bytes of the image. */
export type ByteRange = readonly [offset: number, length: number]

export interface ProfileFile {
  readonly sizeBytes: number
  /** Null: any version of this size. */
  readonly validator: string | null
  /** In the order of their first reads, without overlaps, within the image. */
  readonly ranges: readonly ByteRange[]
}

/** `version`: recorded from this version, or from any of its size. `name`: recorded from another one. */
export type ProfileTrust = 'version' | 'name'

export function trustIn({ sizeBytes, validator }: ProfileFile, image: Image): ProfileTrust {
  const isThis = sizeBytes === image.sizeBytes && (validator === null || validator === image.validator)
  return isThis ? 'version' : 'name'
}

/** The profile of an image as a file. The validator of a local file says nothing on another host, and is left out. */
export function profileFileOf(image: Pick<Image, 'origin' | 'sizeBytes' | 'validator'>, record: ProfileRecord) {
  const { blockBytes, runs } = record
  const { origin, sizeBytes } = image
  const blocks = runs.map(([block, count]): ByteRange => [block * blockBytes, count * blockBytes])
  const ranges = [...rangesWithin({ ranges: blocks }, sizeBytes, profileBytesMax)]
  return { sizeBytes, validator: origin.startsWith('file:') ? null : image.validator, ranges }
}

/** The text of a file: one range a line. */
export function formatProfileFile({ sizeBytes, validator, ranges }: ProfileFile): string {
  const head = JSON.stringify({ format, version, sizeBytes, validator }).slice(0, -1)
  return `${head},"ranges":[\n${ranges.map(range => JSON.stringify(range)).join(',\n')}\n]}\n`
}

/** @throws CacheError invalid-argument with the first mistake */
export function parseProfileFile(text: string): ProfileFile {
  if (text.length > profileFileBytesMax) throw refused(`it is longer than ${profileFileBytesMax} bytes`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw refused(`it is not JSON: ${messageOf(error)}`)
  }
  if (typeof value !== 'object' || value === null) throw refused('it is no object')
  const said = value as Readonly<Record<string, unknown>>
  if (said.format !== format) throw refused(`its format is not "${format}"`)
  if (said.version !== version) throw refused(`its version is not ${version}: record the profile again`)
  const { sizeBytes, validator, ranges } = said
  if (!isCount(sizeBytes)) throw refused('sizeBytes is no number of bytes')
  if (validator !== null && (typeof validator !== 'string' || validator.length > profileValidatorCharsMax)) {
    throw refused(`validator is neither null nor a text of ${profileValidatorCharsMax} characters at most`)
  }
  if (!Array.isArray(ranges) || ranges.length === 0) throw refused('it has no ranges')
  if (ranges.length > profileRunsMax) throw refused(`it has more than ${profileRunsMax} ranges`)
  return { sizeBytes, validator, ranges: judgeRanges(ranges, sizeBytes) }
}

/** The ranges cut to an image, to so many bytes together. Those past its end are left out. */
export function* rangesWithin(
  { ranges }: Pick<ProfileFile, 'ranges'>,
  sizeBytes: number,
  bytesMax: number,
): Generator<ByteRange> {
  let left = bytesMax
  for (const [offset, length] of ranges) {
    const bytes = Math.min(length, sizeBytes - offset, left)
    if (left <= 0) return
    if (bytes <= 0) continue
    left -= bytes
    yield [offset, bytes]
  }
}

function judgeRanges(ranges: readonly unknown[], sizeBytes: number): readonly ByteRange[] {
  const judged = ranges.map((range): ByteRange => {
    const [offset, length, ...more] = Array.isArray(range) ? (range as unknown[]) : []
    if (!isCount(offset) || !isCount(length) || length === 0 || more.length > 0) {
      throw refused('a range is not [offset, length]')
    }
    if (length > sizeBytes - offset) throw refused(`the range at ${offset} ends past the end of the image`)
    return [offset, length]
  })
  let [end, bytes] = [0, 0]
  for (const [offset, length] of [...judged].sort((a, b) => a[0] - b[0])) {
    if (offset < end) throw refused(`the range at ${offset} overlaps with another one`)
    end = offset + length
    bytes += length
  }
  if (bytes > profileBytesMax) throw refused(`its ranges have more than ${profileBytesMax} bytes together`)
  return judged
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function refused(problem: string): CacheError {
  return new CacheError('invalid-argument', `that is no boot profile: ${problem}`)
}
