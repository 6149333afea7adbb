/**
 * Fleet origin: an Origin around the whole chain of one origin, whose reads ask the members of the group first. Names,
 * facts, digests and holes are the origin's own; members tell the facts of an image where the origin does not answer.
 *
 * It belongs below read-ahead, so that what is fetched ahead comes from members, too. A read is split by units; the
 * units that are ours to fetch go to the origin together.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { endingWith } from '../../base/trace.ts'
import type { FoundImage, Origin, ReadOptions } from '../../origin/contract/origin.ts'
import { ForwardingOrigin } from '../../origin/wrappers/forwarding-origin.ts'
import { hopsOfOpener, unitBlocks } from '../wire/wire.ts'
import type { OriginPace } from './origin-pace.ts'
import type { ReadsInFlight } from './reads-in-flight.ts'
import type { RelayedLookups } from './relayed-lookups.ts'
import type { RelayedOrigin } from './relayed-origin.ts'
import type { OriginReason, UnitRange, UnitReader } from './unit-reader.ts'

export interface FleetOriginContext {
  readonly blockBytes: number
  readonly reader: Pick<UnitReader, 'read' | 'orderOf'>
  readonly originPace: OriginPace
  readonly originReads: Pick<ReadsInFlight, 'begin'>
  readonly reached: Pick<RelayedOrigin, 'read' | 'close'>
  readonly names: Pick<RelayedLookups, 'lookup'>
  readonly now: () => number
  /** Do members take part in reads of this image? */
  sharesImage(image: Image): boolean
  /** The origin is asked for bytes of a unit. */
  onOrigin(reason: OriginReason, range: Pick<UnitRange, 'image' | 'unit' | 'target'>): void
  /** Bytes of these units were proven wrong. @returns true where a member had sent any of them */
  onDisputed(imageId: string, units: readonly number[]): boolean
  /** A read of an image that is shared has begun, and ended. */
  onReads(change: 1 | -1): void
}

export class FleetOrigin extends ForwardingOrigin {
  readonly #parts: FleetOriginContext

  constructor(inner: Origin, parts: FleetOriginContext) {
    super(inner)
    this.#parts = parts
  }

  override async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const { onReads, sharesImage } = this.#parts
    if (options.isDisputed) {
      const units = this.#unitsOf(offset, target.length)
      const isMembers = this.#parts.onDisputed(image.id, units)
      this.#parts.onOrigin('failed', { image, unit: units[0]!, target })
      // The origin's own places have not answered yet.
      return await this.inner.read(image, offset, target, isMembers ? { ...options, isDisputed: false } : options)
    }
    if (
      target.length === 0 ||
      options.isOptional ||
      !this.#isWholeBlocks(image, offset, target) ||
      !sharesImage(image)
    ) {
      return await this.inner.read(image, offset, target, options)
    }
    onReads(1)
    try {
      const parts = this.#plan(image, offset, target, options)
      if (parts.length === 1) return await this.#readPart(parts[0]!, options)
      await this.#readAll(parts, options)
    } finally {
      onReads(-1)
    }
  }

  override lookup(key: string, options: ReadOptions): Promise<FoundImage> {
    return this.#parts.names.lookup(key, options)
  }

  override close(): Promise<void> {
    this.#parts.reached.close()
    return super.close()
  }

  /** All parts at once. After a failure nothing is written to the target any more. */
  async #readAll(parts: readonly PlannedPart[], options: ReadOptions): Promise<void> {
    const stop = new LightAbortSignal(options.signal)
    const read = (part: PlannedPart) =>
      this.#readPart(part, { ...options, signal: stop }).catch(error => {
        stop.abort(error)
        throw error
      })
    const settled = await Promise.allSettled(parts.map(read))
    stop.end()
    const errors = settled.flatMap(result => (result.status === 'rejected' ? [result.reason] : []))
    // Those that only broke off for another's sake say nothing.
    if (errors.length > 0) throw errors.find(error => !isCacheError(error, 'aborted')) ?? errors[0]
  }

  async #readPart({ range, isOwn }: PlannedPart, options: ReadOptions): Promise<void> {
    const fallBack = isOwn ? { reason: 'own' as const, goodBytes: 0 } : await this.#askMembers(range, options)
    if (fallBack === null) return
    const { reason, goodBytes } = fallBack
    const [offset, target] = [range.offset + goodBytes, range.target.subarray(goodBytes)]
    this.#parts.onOrigin(reason, { ...range, target })
    const startMs = this.#parts.now()
    const end = this.#parts.originReads.begin(range.image.id, offset, target.length)
    await this.#parts.reached.read({ ...range, offset, target }, options).finally(end)
    this.#parts.originPace.answered(target.length, this.#parts.now() - startMs)
  }

  async #askMembers(range: UnitRange, { signal, trace }: ReadOptions) {
    const { offset, target } = range
    const asking = trace?.begin('members', { 'parentfs.offset': offset, 'parentfs.bytes': target.length })
    const fallBack = await endingWith(asking, this.#parts.reader.read(range, signal))
    return fallBack
  }

  /** The parts by unit; neighbours that are ours are one. */
  #plan(image: Image, offset: number, target: Uint8Array, options: ReadOptions): readonly PlannedPart[] {
    const hop = hopsOfOpener(options.opener)
    const { isProven = false } = options
    const unitBytes = unitBlocks * this.#parts.blockBytes
    const parts: PlannedPart[] = []
    let [ownFrom, ownUnit] = [-1, 0]
    const flush = (to: number) => {
      if (ownFrom < 0) return
      const own = target.subarray(ownFrom - offset, to - offset)
      parts.push({ range: { image, unit: ownUnit, offset: ownFrom, target: own, hop, isProven }, isOwn: true })
      ownFrom = -1
    }
    const end = offset + target.length
    for (let at = offset; at < end; ) {
      const unit = Math.floor(at / unitBytes)
      const next = Math.min(end, (unit + 1) * unitBytes)
      if (this.#parts.reader.orderOf(image.id, unit, hop).isOrigins) {
        if (ownFrom < 0) [ownFrom, ownUnit] = [at, unit]
      } else {
        flush(at)
        const range = { image, unit, offset: at, target: target.subarray(at - offset, next - offset), hop, isProven }
        parts.push({ range, isOwn: false })
      }
      at = next
    }
    flush(end)
    return parts
  }

  #unitsOf(offset: number, length: number): number[] {
    const unitBytes = unitBlocks * this.#parts.blockBytes
    const first = Math.floor(offset / unitBytes)
    const last = Math.floor((offset + Math.max(1, length) - 1) / unitBytes)
    return Array.from({ length: last - first + 1 }, (_, k) => first + k)
  }

  #isWholeBlocks({ sizeBytes }: Image, offset: number, { length }: Uint8Array): boolean {
    const { blockBytes } = this.#parts
    const end = offset + length
    return offset % blockBytes === 0 && (end % blockBytes === 0 || end === sizeBytes)
  }
}

interface PlannedPart {
  readonly range: UnitRange
  /** Nobody but the origin is to be asked. */
  readonly isOwn: boolean
}
