/**
 * Promotion on request: an image, or ranges of it, brought into the store; all promotions share their turns.
 */
import PQueue from 'p-queue'
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import type { Evictor } from '../evict/evictor.ts'
import { dataBytes, type Pins } from '../evict/pins.ts'
import type { DigestVerifier } from '../integrity/digest-verifier.ts'
import { keepsMisses } from '../modes/cache-mode.ts'
import type { ModeTable } from '../modes/mode-table.ts'
import type { MissReader } from '../read/miss-reader.ts'
import { promoteConcurrency, promoteRangesMax } from './limits.ts'
import type { NamedImages } from './named-images.ts'
import { type PreloadBytes, type PreloadedImage, type PreloadOptions, preloadImage } from './preload-image.ts'

export interface PromoteOperationsContext {
  readonly names: NamedImages
  readonly store: Store
  readonly reader: MissReader
  readonly evictor: Pick<Evictor, 'check'>
  readonly digester: Pick<DigestVerifier, 'check' | 'mustBeSound'>
  readonly pins: Pins
  readonly modes: Pick<ModeTable, 'of'>
}

export class PromoteOperations {
  readonly #parts: PromoteOperationsContext
  readonly #queue = new PQueue({ concurrency: promoteConcurrency })

  constructor(parts: PromoteOperationsContext) {
    this.#parts = parts
  }

  /**
   * Bring ranges of an image into the store, or all of it.
   * @param ranges null for the whole image
   * @throws CacheError not-found, invalid-argument (a range that is none), overloaded (no room), store-failed,
   * image-changed, image-corrupt, aborted, origin-*
   */
  async promote(
    name: string,
    ranges: readonly PreloadBytes[] | null,
    options: PreloadOptions,
  ): Promise<PreloadedImage> {
    const { entry } = await this.#parts.names.find(name, options.signal)
    return await this.promoteImage(name, entry.image, checkRanges(name, entry.image, ranges), options)
  }

  /** The same for an image. @param ranges within it */
  async promoteImage(
    name: string,
    image: Image,
    ranges: readonly PreloadBytes[],
    options: PreloadOptions,
  ): Promise<PreloadedImage> {
    const { store, digester, evictor, modes } = this.#parts
    digester.mustBeSound(image)
    const mode = modes.of(image)
    if (!keepsMisses(mode)) {
      const advice = `"parentfs mode promote ${name}" first`
      throw new CacheError('invalid-argument', `${name} cannot be promoted: its mode is ${mode}: ${advice}`)
    }
    const stored = await store.use(image)
    if (!stored) {
      const { state, reason } = store.health
      if (image.sizeBytes === 0) return { name, wantedBytes: 0, presentBytes: 0, promotedBytes: 0, complete: true }
      const why =
        state === 'healthy'
          ? 'its data file cannot be made, the log says why'
          : `the cache disk is ${state} (${reason})`
      throw new CacheError('store-failed', `${name} cannot be promoted: ${why}`)
    }
    const parts = {
      ...this.#parts,
      queue: this.#queue,
      keptBytes: this.#keptBytes(stored),
      makeRoom: () => evictor.check(),
      mustBeSound: () => digester.mustBeSound(image),
    }
    const promoted = await preloadImage(name, stored, ranges, parts, options)
    if (stored.complete) digester.check()
    return promoted
  }

  /** Bytes that pinned images other than this one hold. */
  #keptBytes(stored: StoredImage): number {
    const { pins, store } = this.#parts
    const kept = pins.kept(dataBytes, pins.bytes.allowedBytes)
    return [...kept].reduce((sum, id) => {
      const other = store.find(id)
      return sum + (other && other !== stored ? dataBytes(other) : 0)
    }, 0)
  }
}

/** @throws CacheError invalid-argument */
function checkRanges(
  name: string,
  { sizeBytes }: Image,
  ranges: readonly PreloadBytes[] | null,
): readonly PreloadBytes[] {
  if (ranges === null) return [{ from: 0, to: sizeBytes }]
  if (ranges.length > promoteRangesMax) {
    throw new CacheError('invalid-argument', `${ranges.length} ranges: give ${promoteRangesMax} at most`)
  }
  for (const { from, to } of ranges) {
    if (!(from >= 0 && from < to && from < sizeBytes)) {
      const advice = `give FROM-TO with FROM below TO, within the image of ${sizeBytes} bytes`
      throw new CacheError('invalid-argument', `${name} has no range ${from}-${to}: ${advice}`)
    }
  }
  return ranges.map(({ from, to }) => ({ from, to: Math.min(to, sizeBytes) }))
}
