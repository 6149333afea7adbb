/** Temperature policy: what is in no hit set goes first, then the least recently used. */
import type { KnownObject } from './adaptive-policy.ts'
import { type EvictionPolicy, LruPolicy } from './eviction-policy.ts'

export class TemperaturePolicy<T extends KnownObject> implements EvictionPolicy<T> {
  readonly name = 'temperature'
  readonly #recency = new LruPolicy<T>()
  readonly #isWarm: (object: T) => boolean

  /** @param isWarm is it in any hit set? */
  constructor(isWarm: (object: T) => boolean) {
    this.#isWarm = isWarm
  }

  async choose(objects: () => Iterable<T>, bytesWanted: number): Promise<T[]> {
    const cold = await this.#recency.choose(() => this.#those(objects(), false), bytesWanted)
    const coldBytes = cold.reduce((sum, { bytes }) => sum + bytes, 0)
    if (coldBytes >= bytesWanted) return cold
    const warm = await this.#recency.choose(() => this.#those(objects(), true), bytesWanted - coldBytes)
    return [...cold, ...warm]
  }

  *#those(objects: Iterable<T>, warm: boolean): Generator<T> {
    for (const object of objects) if (this.#isWarm(object) === warm) yield object
  }
}
