/**
 * Block bitmap of one image: a hash table from object to 64-bit mask in two typed arrays, 12 bytes a slot.
 *
 * Two million scattered objects take as little as two million neighbours: 48 MiB. Neighbours lie in neighbouring slots,
 * so that a walk over all objects meets them in runs of up to 64 in ascending order, as a disk likes it.
 */
import assert from 'node:assert/strict'
import { countOf } from '../../base/image.ts'

/**
 * In place of an object's number: a slot that was never used. An image of 2^32 objects is refused by the index's keys
 * already.
 */
const vacant = 0xffffffff
const slotsMin = 64
/** Objects whose home slots are neighbours. */
const runObjects = 64

export class BlockBitmap {
  // INVARIANT: at least a third of the slots are vacant, so that every search ends soon.
  #objects = new Uint32Array(slotsMin).fill(vacant)
  /** By slot; 0 where an object was removed, whose slot waits for it or for the next growth. */
  #masks = new BigUint64Array(slotsMin)
  /** The same, two a slot: without making a bigint of each. */
  #halves = new Uint32Array(this.#masks.buffer)
  /** Slots that are not vacant. */
  #taken = 0
  /** Bits set in all masks. */
  #count = 0
  /** Objects with a bit. */
  #held = 0

  get count(): number {
    return this.#count
  }

  get objectCount(): number {
    return this.#held
  }

  get(object: number): bigint {
    const slot = this.#slotOf(object)
    return this.#objects[slot] === object ? this.#masks[slot]! : 0n
  }

  add(object: number, blocks: bigint): void {
    if (blocks === 0n) return
    let slot = this.#slotOf(object)
    if (this.#objects[slot] === vacant) {
      assert(object < vacant, `object ${object}`)
      if (3 * this.#taken >= 2 * this.#objects.length - 3) {
        this.#rebuild()
        slot = this.#slotOf(object)
      }
      this.#objects[slot] = object
      this.#taken++
    }
    this.#put(slot, this.#masks[slot]! | blocks)
  }

  remove(object: number, blocks: bigint): void {
    const slot = this.#slotOf(object)
    if (this.#objects[slot] === object) this.#put(slot, this.#masks[slot]! & ~blocks)
  }

  /**
   * Objects with at least one bit, each once. A removal while this runs counts from then on; an addition may be missed.
   */
  *objects(): Generator<number> {
    const objects = this.#objects
    const halves = this.#halves
    for (let slot = 0; slot < objects.length; slot++) {
      if (halves[2 * slot] === 0 && halves[2 * slot + 1] === 0) continue
      const object = objects[slot]!
      // After a growth these are the arrays of then.
      if (objects === this.#objects || this.get(object) !== 0n) yield object
    }
  }

  /** The slot that holds the object, or the vacant one where it would go. */
  #slotOf(object: number): number {
    const last = this.#objects.length - 1
    const run = Math.floor(object / runObjects)
    // Fibonacci hashing spreads runs; the high bits of a product are the well-mixed ones.
    const mixed = Math.imul(run, 0x9e3779b1)
    let slot = (((mixed ^ (mixed >>> 15)) * runObjects + (object % runObjects)) >>> 0) & last
    while (this.#objects[slot] !== object && this.#objects[slot] !== vacant) slot = (slot + 1) & last
    return slot
  }

  #put(slot: number, mask: bigint): void {
    const before = this.#masks[slot]!
    if (before === mask) return
    this.#masks[slot] = mask
    this.#count += countOf(mask) - countOf(before)
    this.#held += Number(mask !== 0n) - Number(before !== 0n)
  }

  /** Into new arrays, without the objects that were removed: larger ones, or smaller. */
  #rebuild(): void {
    const [objects, halves] = [this.#objects, this.#halves]
    const isHeld = (slot: number) => halves[2 * slot] !== 0 || halves[2 * slot + 1] !== 0
    let held = 0
    for (let slot = 0; slot < objects.length; slot++) if (isHeld(slot)) held++
    let slots = slotsMin
    while (slots < 2 * (held + 1)) slots *= 2
    this.#objects = new Uint32Array(slots).fill(vacant)
    this.#masks = new BigUint64Array(slots)
    this.#halves = new Uint32Array(this.#masks.buffer)
    this.#taken = held
    for (let slot = 0; slot < objects.length; slot++) {
      if (!isHeld(slot)) continue
      const target = this.#slotOf(objects[slot]!)
      this.#objects[target] = objects[slot]!
      for (const half of [0, 1]) this.#halves[2 * target + half] = halves[2 * slot + half]!
    }
  }
}
