/**
 * A queue of small numbers, each in it at most once, that can be taken out of its middle: linked lists in two typed
 * arrays.
 */
const nobody = -1

export class Queue {
  readonly #next: Int32Array
  readonly #previous: Int32Array
  readonly #member: Uint8Array
  #head = nobody
  #tail = nobody
  #size = 0

  /** @param numbers members are below it */
  constructor(numbers: number) {
    this.#next = new Int32Array(numbers).fill(nobody)
    this.#previous = new Int32Array(numbers).fill(nobody)
    this.#member = new Uint8Array(numbers)
  }

  get size(): number {
    return this.#size
  }

  has(number: number): boolean {
    return this.#member[number] === 1
  }

  /** Add at the end what is not in it. */
  push(number: number): void {
    this.#member[number] = 1
    this.#next[number] = nobody
    this.#previous[number] = this.#tail
    if (this.#tail === nobody) this.#head = number
    else this.#next[this.#tail] = number
    this.#tail = number
    this.#size++
  }

  /** Take the first out; the queue is not empty. */
  shift(): number {
    const number = this.#head
    this.remove(number)
    return number
  }

  /** Take out what is in it. */
  remove(number: number): void {
    const [next, previous] = [this.#next[number]!, this.#previous[number]!]
    if (previous === nobody) this.#head = next
    else this.#next[previous] = next
    if (next === nobody) this.#tail = previous
    else this.#previous[next] = previous
    this.#member[number] = 0
    this.#size--
  }
}
