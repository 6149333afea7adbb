/**
 * Permitted units: the units of each open image that session threads may read at the origin by themselves while this
 * host is in a group. They are the units whose reads would go to the origin without a question, whoever is well.
 *
 * Every change of the view revokes them at once; they are found anew afterwards. Units of members that are leaving are
 * asked of those first. A host that has just joined has the units that no former owner has, as those have told.
 */
import { TimeSlice } from '../../async/time-slice.ts'
import type { Image } from '../../base/image.ts'
import type { OriginReader } from '../../native/origin-reader.ts'
import type { UnitPermits, UnitPermitTables } from '../../native/unit-permits.ts'
import type { FollowedImage, NativeRange, ReaderPermits } from '../../origin/contract/native-read-sources.ts'
import type { GroupView } from '../group/group-view.ts'
import { unitBlocks } from '../wire/wire.ts'
import { formerOwnersMax } from './ask-order.ts'
import type { FormerOwnerUnits } from './former-owner-units.ts'
import { permitBytesMax } from './limits.ts'

export interface PermittedUnitsContext {
  readonly tables: UnitPermitTables
  readonly view: Pick<GroupView, 'own' | 'ownership' | 'ownsAlone' | 'ranks'>
  readonly blockBytes: number
  /** Did this host join so lately that others hold its units? */
  isJoining(): boolean
  readonly former: Pick<FormerOwnerUnits, 'mayHold'>
  /** Bytes of a unit came within a permit. */
  onNative(image: Image, unit: number, range: NativeRange, ms: number): void
}

export interface PermitCounters {
  readonly reads: number
  readonly bytes: number
  /** Images whose permits had no room. */
  readonly refusedImages: number
}

interface PermittedImage {
  readonly id: string
  readonly units: number
  readonly permits: UnitPermits
  /** The view that they are of; null: they are still to be found. */
  of: string | null
}

/** Units between two looks at the clock: some microseconds each in a group of a thousand. */
const unitsPerLook = 64

export class PermittedUnits implements ReaderPermits {
  readonly #parts: PermittedUnitsContext
  readonly #unitBytes: number
  readonly #images = new Map<string, PermittedImage>()
  /** Null: every image has its permits. */
  #finding: Promise<void> | null = null
  #bytes = 0
  #view = ''
  #isClosed = false
  #counters = { reads: 0, bytes: 0, refusedImages: 0 }

  constructor(parts: PermittedUnitsContext) {
    this.#parts = parts
    this.#unitBytes = unitBlocks * parts.blockBytes
    this.#view = this.#viewNow()
  }

  get counters(): PermitCounters {
    return { ...this.#counters }
  }

  guard(image: FollowedImage, reader: OriginReader): OriginReader | null {
    if (this.#isClosed || this.#parts.view.own === null) return null
    return (this.#images.get(image.id) ?? this.#add(image))?.permits.guard(reader) ?? null
  }

  release(imageId: string): void {
    const known = this.#images.get(imageId)
    if (!known || !this.#images.delete(imageId)) return
    known.permits.replace(noBits)
    this.#bytes -= bytesOf(known.units)
  }

  answered(image: Image, range: NativeRange, ms: number): void {
    this.#counters.reads++
    this.#counters.bytes += range.length
    const unit = Math.floor(range.offset / this.#unitBytes)
    this.#parts.onNative(image, unit, range, ms)
  }

  /** The view may have changed: what it was before permits nothing any more. */
  revise(): void {
    const view = this.#viewNow()
    if (view === this.#view) return
    this.#view = view
    for (const image of this.#images.values()) {
      image.permits.replace(noBits)
      image.of = null
    }
    this.#find()
  }

  /** A former owner has told its units of an image: there may be more to permit. */
  told(imageId: string): void {
    const image = this.#images.get(imageId)
    if (!image || !this.#parts.isJoining()) return
    image.of = null
    this.#find()
  }

  /** Resolves when every image has its permits. Never rejects. */
  async settled(): Promise<void> {
    await this.#finding
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true
    for (const id of [...this.#images.keys()]) this.release(id)
  }

  #add({ id, sizeBytes }: FollowedImage): PermittedImage | null {
    const units = Math.ceil(sizeBytes / this.#unitBytes)
    if (this.#bytes + bytesOf(units) > permitBytesMax) {
      this.#counters.refusedImages++
      return null
    }
    this.#bytes += bytesOf(units)
    const image = { id, units, permits: this.#parts.tables.createUnitPermits(this.#unitBytes, units), of: null }
    this.#images.set(id, image)
    this.#find()
    return image
  }

  #find(): void {
    this.#finding ??= this.#findAll() // Never rejects.
  }

  /** Ends in the turn in which it finds no image any more, so that one that comes then begins another. */
  async #findAll(): Promise<void> {
    const turns = new TimeSlice(unitsPerLook)
    await turns.yield()
    for (;;) {
      const image = [...this.#images.values()].find(({ of }) => of !== this.#view)
      if (!image) break
      await this.#findOf(image, turns)
    }
    this.#finding = null
  }

  async #findOf(image: PermittedImage, turns: TimeSlice): Promise<void> {
    const of = this.#view
    image.of = of
    const bits = Buffer.alloc(bytesOf(image.units))
    for (let unit = 0; unit < image.units; unit++) {
      if (turns.isOver) {
        await turns.yield()
        this.revise()
        if (image.of !== of || this.#images.get(image.id) !== image) return
      }
      if (this.#isOrigins(image.id, unit)) bits[unit >> 3]! |= 1 << (unit & 7)
    }
    this.revise()
    if (image.of === of) image.permits.replace(bits)
  }

  #isOrigins(imageId: string, unit: number): boolean {
    const { view, isJoining, former } = this.#parts
    if (!view.ownsAlone(imageId, unit)) return false
    if (!isJoining()) return true
    const { near, far } = view.ranks(imageId, unit)
    return !(far ?? near).slice(1, 1 + formerOwnersMax).some(({ id }) => former.mayHold(id, imageId, unit))
  }

  #viewNow(): string {
    const { view, isJoining } = this.#parts
    return `${isJoining() ? 'joining ' : ''}${view.ownership}`
  }
}

const noBits = new Uint8Array(0)

/** The bits of an image, in bytes. */
function bytesOf(units: number): number {
  return Math.ceil(units / 8)
}
