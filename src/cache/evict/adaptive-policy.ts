/**
 * Adaptive policy: evicts by recency or by S3-FIFO, whichever would have served better lately.
 *
 * Hits are native and not reported: at each choice the policy looks which objects were used since the one before.
 * Beside the real cache it keeps two shadow caches of the same size, over a sample of the objects, that each follow one
 * rule all the time. It follows the one with more hits.
 */

import { sorted, TimeSlice } from '../../async/time-slice.ts'
import { type EvictionPolicy, LruPolicy, type ObjectUse } from './eviction-policy.ts'
import { type EvictionQueue, LruList, S3FifoQueues } from './eviction-queues.ts'
import { hashOf } from './indexed-lists.ts'

/** An object by which it can be recognised at the next look. */
export interface KnownObject extends ObjectUse {
  /** Of the image, for as long as it is in the store. */
  readonly stored: object
  readonly object: number
}

/** About as many objects as a sample has when there are many. */
const sampleObjects = 8192
/**
 * The weight of earlier looks, for each look: about a hundred are remembered, in which five caches full of objects come
 * and go.
 */
const fading = 0.99
/** Recency has to have had this share more of what was used: S3-FIFO forgets less when it is wrong. */
const leadMin = 0.005

export class AdaptivePolicy<T extends KnownObject> implements EvictionPolicy<T> {
  readonly name = 'adaptive'
  readonly #lru = new LruPolicy<T>()
  readonly #order = new S3FifoQueues()
  readonly #images = new WeakMap<object, number>()
  #imageCount = 0
  /** Of the look before: what was used since is younger. */
  #lastLook = -1
  readonly #books = { lru: new Book(new LruList()), fifo: new Book(new S3FifoQueues()) }
  readonly #sampleObjects: number

  /** @param sampleRate share of the objects that it sees: its own sample is to be of the same share */
  constructor({ sampleRate = 1 }: { readonly sampleRate?: number } = {}) {
    this.#sampleObjects = sampleObjects * sampleRate
  }

  async choose(objects: () => Iterable<T>, bytesWanted: number): Promise<T[]> {
    const held = await this.#look(objects())
    if (this.#books.lru.hits - this.#books.fifo.hits > leadMin * this.#books.lru.uses) {
      const chosen = await this.#lru.choose(() => held.values(), bytesWanted)
      for (const each of chosen) this.#order.remove(this.#idOf(each))
      return chosen
    }
    const chosen: T[] = []
    const turns = new TimeSlice()
    for (let bytes = 0; bytes < bytesWanted && this.#order.size > 0; ) {
      if (turns.isOver) await turns.yield()
      const id = this.#order.consider(chosen.length)
      if (id === null) continue
      const object = held.get(id)!
      chosen.push(object)
      bytes += object.bytes
    }
    return chosen
  }

  /** See what came, what was used, and what has gone. @returns what is here, by id */
  async #look(objects: Iterable<T>): Promise<Map<number, T>> {
    const turns = new TimeSlice()
    const held = new Map<number, T>()
    const used: T[] = []
    for (const each of objects) {
      if (turns.isOver) await turns.yield()
      const id = this.#idOf(each)
      held.set(id, each)
      if (each.lastUse > this.#lastLook || !this.#order.has(id)) used.push(each)
    }
    for (const id of this.#order.ids()) {
      if (turns.isOver) await turns.yield()
      if (!held.has(id)) this.#order.remove(id)
    }
    const sampling = Math.max(1, Math.round(held.size / this.#sampleObjects))
    for (const book of [this.#books.lru, this.#books.fifo]) book.begin(Math.floor(held.size / sampling))
    for (const each of await sorted(used, ({ lastUse }) => lastUse, turns)) {
      if (turns.isOver) await turns.yield()
      this.#lastLook = each.lastUse
      const id = this.#idOf(each)
      if (this.#order.has(id)) this.#order.use(id)
      else this.#order.add(id)
      if (hashOf(id) % sampling === 0) for (const book of [this.#books.lru, this.#books.fifo]) book.use(id)
    }
    return held
  }

  #idOf({ stored, object }: T): number {
    let image = this.#images.get(stored)
    if (image === undefined) this.#images.set(stored, (image = this.#imageCount++))
    return image * 2 ** 32 + object
  }
}

/** Shadow cache: the objects that a cache would hold that follows one rule all the time. */
class Book {
  readonly #order: EvictionQueue
  #objectsMax = 0
  #hits = 0
  #uses = 0

  constructor(order: EvictionQueue) {
    this.#order = order
  }

  /** Recent uses, faded. */
  get uses(): number {
    return this.#uses
  }

  /** Those of them that it held. */
  get hits(): number {
    return this.#hits
  }

  begin(objectsMax: number): void {
    this.#objectsMax = Math.max(1, objectsMax)
    this.#hits *= fading
    this.#uses *= fading
  }

  use(id: number): void {
    this.#uses++
    if (this.#order.has(id)) {
      this.#order.use(id)
      this.#hits++
      return
    }
    while (this.#order.size >= this.#objectsMax) this.#order.takeNext()
    this.#order.add(id)
  }
}
