/**
 * Sequential fill: one pass over an image that comes from the front. All that comes goes to the store, in pieces, but
 * for the blocks that are held or on their way to readers.
 *
 * A piece is claimed before its first byte comes, so that readers of it join. It waits for room, which holds the pass
 * back: bytes that are dropped cost another pass.
 */
import { pause } from '../../async/pause.ts'
import { type CacheError, isCacheError } from '../../base/errors.ts'
import { type BlockRun, countOf, runsOf } from '../../base/image.ts'
import type { Landing } from '../../origin/sequential/sequential-image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Fetcher } from './fetcher.ts'
import { passPieceBytesMax, passRoomMs, passRoomTriesMax, passUnsettledBytesMax } from './limits.ts'

export interface SequentialFillContext {
  readonly fetcher: Pick<Fetcher, 'lacking' | 'land'>
  /** May anything of the image be written? */
  isWritable(stored: StoredImage): boolean
  /** Is there room for so many bytes under the ceiling? */
  fits(bytes: number): boolean
  /** Would so many bytes be promoted now? */
  mayPromote(stored: StoredImage, bytes: number): boolean
  /** The bytes that the pass brought are not those of the image's publisher. */
  onCorrupt(stored: StoredImage, error: CacheError): void
  /** Evict if need be. Never rejects. */
  makeRoom(): Promise<void>
}

/** A run of blocks that is being filled, from byte `from` of the image on. */
interface FillingRun {
  readonly from: number
  readonly target: Uint8Array
  readonly end: (isWhole: boolean) => void
}

export class SequentialFill implements Landing {
  readonly #stored: StoredImage
  readonly #parts: SequentialFillContext
  /** The place of the next byte, and the end of its piece. */
  #at = 0
  #pieceEnd = 0
  #isKept = true
  #filling: readonly FillingRun[] = []
  #roomTriesMax = passRoomTriesMax
  /** Bytes whose promotion has not ended: the queue does not know of all of them yet. */
  #unsettledBytes = 0
  #hasEnded = false

  constructor(stored: StoredImage, parts: SequentialFillContext) {
    this.#stored = stored
    this.#parts = parts
  }

  async take(bytes: Uint8Array): Promise<boolean> {
    let isKept = true
    for (let taken = 0; taken < bytes.length; ) {
      if (this.#at === this.#pieceEnd) await this.#beginPiece()
      const part = bytes.subarray(taken, taken + this.#pieceEnd - this.#at)
      this.#fill(part)
      taken += part.length
      this.#at += part.length
      isKept &&= this.#isKept
    }
    return isKept
  }

  end(error: unknown): void {
    if (isCacheError(error, 'image-corrupt')) this.#parts.onCorrupt(this.#stored, error)
    this.#hasEnded = true
    for (const { end } of this.#filling) end(false)
    this.#filling = []
  }

  async #beginPiece(): Promise<void> {
    const { geometry } = this.#stored
    const from = this.#at
    const object = Math.floor(from / geometry.objectBytes)
    const piece = Math.max(passPieceBytesMax, geometry.blockBytes)
    const whole = (Math.floor(from / piece) + 1) * piece
    const to = Math.min(whole, (object + 1) * geometry.objectBytes, geometry.sizeBytes)
    const { blocks } = geometry.parts(from, to - from)[0]!
    const lacking = () => this.#parts.fetcher.lacking(this.#stored, object, blocks)
    this.#pieceEnd = to
    this.#isKept = await this.#waitForRoom(countOf(lacking()) * geometry.blockBytes)
    // In one iteration: no reader begins to fetch a block in between.
    this.#filling = this.#isKept ? runsOf(lacking()).map(run => this.#begin(object, run)) : []
  }

  #begin(object: number, run: BlockRun): FillingRun {
    let end: FillingRun['end'] = () => {}
    const arrival = new Promise<boolean>(resolve => (end = resolve))
    const { offset } = this.#stored.geometry.bytesOf(object, run)
    const { target, settled } = this.#parts.fetcher.land(this.#stored, { object, run }, arrival)
    this.#unsettledBytes += target.length
    void settled.then(() => void (this.#unsettledBytes -= target.length)) // Never rejects.
    return { from: offset, target, end }
  }

  #fill(bytes: Uint8Array): void {
    const to = this.#at + bytes.length
    for (const { from, target, end } of this.#filling) {
      const [first, last] = [Math.max(from, this.#at), Math.min(from + target.length, to)]
      if (first >= last) continue
      target.set(bytes.subarray(first - this.#at, last - this.#at), first - from)
      if (last === from + target.length) end(true)
    }
  }

  /** A disk that is slower than the origin is waited for; a cache that is full of what is used, for a while. */
  async #waitForRoom(bytes: number): Promise<boolean> {
    const { isWritable, fits, mayPromote, makeRoom } = this.#parts
    for (let tries = 0; !this.#hasEnded && isWritable(this.#stored); ) {
      if (bytes === 0) return true
      const hasRoom = fits(bytes)
      const unsettledBytes = this.#unsettledBytes + bytes
      const isBehind = this.#unsettledBytes > 0 && unsettledBytes > passUnsettledBytesMax
      if (hasRoom && !isBehind && mayPromote(this.#stored, unsettledBytes)) {
        this.#roomTriesMax = passRoomTriesMax
        return true
      }
      if (!hasRoom && ++tries > this.#roomTriesMax) break
      if (!hasRoom) await makeRoom()
      await pause(passRoomMs)
    }
    // The next pieces will hardly find more: readers wait for what comes after them.
    this.#roomTriesMax = 1
    return false
  }
}
