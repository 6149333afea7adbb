/**
 * Hash-indexed linked lists of numbers in typed arrays: each number is in one list at most, in the order of arrival;
 * any may leave. Each has a small value.
 *
 * A quarter of a million of them are nothing unusual. They take 30 bytes each here, where a `Map` of linked objects
 * takes some 300. (A `Set` has an order, too, but its first member is found by walking over all that have left.)
 */

/** In place of a slot: none. */
const none = -1
const slotsMin = 1024

export class IndexedLists {
  /** By slot: the number, its neighbours, its line and its value. Slots that are free are linked by `#after`. */
  #ids = new Float64Array(slotsMin)
  #before = new Int32Array(slotsMin)
  #after = new Int32Array(slotsMin)
  #lines = new Uint8Array(slotsMin)
  #values = new Uint8Array(slotsMin)
  /** Slots by the hash of their number, where there is one or behind; INVARIANT: at most half full. */
  #table = new Int32Array(2 * slotsMin).fill(none)
  #freeSlot = none
  /** Slots from here on were never used. */
  #usedSlots = 0
  readonly #first: number[]
  readonly #last: number[]
  readonly #sizes: number[]

  /** @param count of lines, numbered from 0 */
  constructor(count: number) {
    this.#first = new Array(count).fill(none)
    this.#last = new Array(count).fill(none)
    this.#sizes = new Array(count).fill(0)
  }

  sizeOf(line: number): number {
    return this.#sizes[line]!
  }

  /** The list that it is in; -1 for none. */
  listOf(id: number): number {
    const slot = this.#table[this.#find(id)]!
    return slot === none ? none : this.#lines[slot]!
  }

  /** The first one of a line; null of none. */
  firstOf(line: number): number | null {
    const slot = this.#first[line]!
    return slot === none ? null : this.#ids[slot]!
  }

  /** Of one that is in a line. */
  valueOf(id: number): number {
    return this.#values[this.#table[this.#find(id)]!]!
  }

  /** @param value 0 to 255 */
  setValue(id: number, value: number): void {
    this.#values[this.#table[this.#find(id)]!] = value
  }

  /** At the end of a line; it is in none. Its value is 0. */
  push(line: number, id: number): void {
    const slot = this.#takeSlot()
    const last = this.#last[line]!
    this.#ids[slot] = id
    this.#lines[slot] = line
    this.#values[slot] = 0
    this.#before[slot] = last
    this.#after[slot] = none
    if (last === none) this.#first[line] = slot
    else this.#after[last] = slot
    this.#last[line] = slot
    this.#sizes[line]!++
    this.#table[this.#find(id)] = slot
  }

  /** @returns the line that it was in; -1 for none */
  remove(id: number): number {
    const at = this.#find(id)
    const slot = this.#table[at]!
    if (slot === none) return none
    const [line, before, after] = [this.#lines[slot]!, this.#before[slot]!, this.#after[slot]!]
    if (before === none) this.#first[line] = after
    else this.#after[before] = after
    if (after === none) this.#last[line] = before
    else this.#before[after] = before
    this.#sizes[line]!--
    this.#close(at)
    this.#after[slot] = this.#freeSlot
    this.#freeSlot = slot
    return line
  }

  /** Take the first one of a line; null of none. */
  shift(line: number): number | null {
    const id = this.firstOf(line)
    if (id !== null) this.remove(id)
    return id
  }

  /** In order. The one that was given last may be removed meanwhile, and nothing else be changed. */
  *idsOf(line: number): Generator<number> {
    for (let slot = this.#first[line]!; slot !== none; ) {
      const after = this.#after[slot]!
      yield this.#ids[slot]!
      slot = after
    }
  }

  #takeSlot(): number {
    const slot = this.#freeSlot
    if (slot !== none) {
      this.#freeSlot = this.#after[slot]!
      return slot
    }
    if (this.#usedSlots === this.#ids.length) this.#grow()
    return this.#usedSlots++
  }

  #grow(): void {
    const length = 2 * this.#ids.length
    const longer = <A extends Float64Array | Int32Array | Uint8Array>(made: A, old: A) => {
      made.set(old)
      return made
    }
    this.#ids = longer(new Float64Array(length), this.#ids)
    this.#before = longer(new Int32Array(length), this.#before)
    this.#after = longer(new Int32Array(length), this.#after)
    this.#lines = longer(new Uint8Array(length), this.#lines)
    this.#values = longer(new Uint8Array(length), this.#values)
    this.#table = new Int32Array(2 * length).fill(none)
    for (const first of this.#first) {
      for (let slot = first; slot !== none; slot = this.#after[slot]!) this.#table[this.#find(this.#ids[slot]!)] = slot
    }
  }

  /** The index of its slot in the table, or of the slot for it. */
  #find(id: number): number {
    const mask = this.#table.length - 1
    for (let at = hashOf(id) & mask; ; at = (at + 1) & mask) {
      const slot = this.#table[at]!
      if (slot === none || this.#ids[slot] === id) return at
    }
  }

  /**
   * Close a gap: slots behind it that belong before it move up. Source: Knuth, The Art of Computer Programming 3, 6.4,
   * algorithm R.
   */
  #close(at: number): void {
    const mask = this.#table.length - 1
    for (let next = (at + 1) & mask; ; next = (next + 1) & mask) {
      const slot = this.#table[next]!
      if (slot === none) break
      const home = hashOf(this.#ids[slot]!) & mask
      if (((next - home) & mask) < ((next - at) & mask)) continue
      this.#table[at] = slot
      at = next
    }
    this.#table[at] = none
  }
}

/** A number that says nothing of neighbours. Source: Knuth, 6.4, multiplicative hashing. */
export function hashOf(id: number): number {
  return Math.imul((id ^ (id / 2 ** 32)) | 0, 0x9e3779b1) >>> 8
}
