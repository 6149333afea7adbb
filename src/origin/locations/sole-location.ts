/**
 * Sole location: the origin of images that have no other place, measured when an operator asks.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { Image } from '../../base/image.ts'
import type { Origin, OriginCounters } from '../contract/origin.ts'
import type { ImageLocation } from './image-location.ts'
import { lookMsMax, measurementReads, sampleBytes } from './limits.ts'
import { Location } from './location.ts'

/** The origin as the one place of an image. @param counters of all its requests. Never rejects */
export async function soleLocation(
  image: Image,
  origin: Pick<Origin, 'url' | 'read'>,
  counters: Pick<OriginCounters, 'requests' | 'bytes' | 'errors'>,
  caller: CancelSignal,
): Promise<ImageLocation> {
  const location = new Location(origin as Origin, () => performance.now())
  const signal = new LightAbortSignal(caller)
  const timer = setTimeout(() => signal.abort(), lookMsMax)
  const target = Buffer.allocUnsafeSlow(Math.min(sampleBytes, image.sizeBytes))
  const options = { signal, isOptional: true }
  let reason = ''
  try {
    let soonestMs = Number.POSITIVE_INFINITY
    for (let reads = 0; reads < measurementReads; reads++) {
      const read = () => origin.read(image, 0, target, options)
      soonestMs = Math.min(soonestMs, await location.timed(target.length, read, options))
    }
    location.measured(soonestMs)
  } catch (error) {
    reason = signal.aborted ? `no answer in ${lookMsMax} ms` : (error as Error).message
  } finally {
    clearTimeout(timer)
    signal.end()
  }
  const { latencyMs, bytesPerSecond, url } = location.figures
  const { requests, bytes, errors } = counters
  const figures = { url, requests, bytes, errors, latencyMs, bytesPerSecond }
  return { ...figures, kind: 'origin', state: 'origin', isRead: true, heldBytes: null, reason }
}
