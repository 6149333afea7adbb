/**
 * One pass over a packed file, decoded as it comes. Its bytes are read in ranges where the origin has them, one ahead:
 * an interruption costs one range. Of a sequential file they come in one request.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, mayPass, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { FileFormat, StreamDecoders } from '../../native/stream-decoder.ts'
import { NoRangesError } from '../contract/no-ranges-error.ts'
import type { Origin, TakeBytes } from '../contract/origin.ts'
import { readWholeOf } from '../wrappers/forwarding-origin.ts'
import { retryMsMax } from '../wrappers/limits.ts'
import { decodedBytesMax, packedRangeBytes, packedRangeTriesMax } from './limits.ts'

/** Give the packed bytes of a file to `take`, from the front on. @throws CacheError as Origin.read */
export async function eachPacked(origin: Origin, packed: Image, take: TakeBytes, caller: CancelSignal): Promise<void> {
  const own = new LightAbortSignal(caller)
  const rangeAt = (offset: number) => {
    const range = readRange(origin, packed, offset, own)
    range.catch(() => {}) // Seen when it is its turn, if that comes.
    return range
  }
  try {
    let next = rangeAt(0)
    for (let at = 0; at < packed.sizeBytes; at += packedRangeBytes) {
      const bytes = await next
      if (at + packedRangeBytes < packed.sizeBytes) next = rangeAt(at + packedRangeBytes)
      await take(bytes)
    }
  } catch (error) {
    // The first one says so, before anything was taken.
    if (!(error instanceof NoRangesError)) throw error
    await readWholeOf(origin, packed, take, { signal: caller })
  } finally {
    own.abort()
    own.end()
  }
}

/** A reader that waits has its own time-out: a pass goes on for longer. */
async function readRange(origin: Origin, packed: Image, offset: number, signal: CancelSignal): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(Math.min(packedRangeBytes, packed.sizeBytes - offset))
  for (let tries = 1; ; tries++) {
    try {
      await origin.read(packed, offset, bytes, { signal })
      return bytes
    } catch (error) {
      const isOver = tries === packedRangeTriesMax || !(mayPass(error) || isCacheError(error, 'origin-away'))
      if (isOver) throw error
      await pause(retryMsMax, signal)
      throwIfAborted(signal)
    }
  }
}

/**
 * Decode what `feed` gives, and give that to `take`.
 * @throws CacheError image-corrupt for a damaged file; what `feed` and `take` throw
 */
export async function decode(
  format: FileFormat,
  name: string,
  decoders: StreamDecoders,
  feed: (take: TakeBytes) => Promise<void>,
  take: TakeBytes,
): Promise<void> {
  const decoder = decoders.createStreamDecoder(format)
  const output = Buffer.allocUnsafeSlow(decodedBytesMax)
  let isOver = false
  const step = async (input: Uint8Array, isLast: boolean) => {
    for (let rest = input; ; ) {
      const { taken, given, isBad, ...step } = await decoder.decode(rest, isLast, output)
      if (isBad)
        throw new CacheError('image-corrupt', `${name}: is no ${format} file, is damaged, or needs too much memory`)
      rest = rest.subarray(taken)
      if (given > 0) await take(output.subarray(0, given))
      isOver = step.isOver
      if ((rest.length === 0 && given < output.length) || taken + given === 0) return
    }
  }
  try {
    await feed(bytes => step(bytes, false))
    await step(new Uint8Array(0), true)
    if (!isOver) throw new CacheError('image-corrupt', `${name}: ends in the middle of a ${format} stream`)
  } finally {
    decoder.end()
  }
}
