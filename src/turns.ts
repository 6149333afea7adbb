/**
 * Long work in pieces: whoever goes over a million names rests now and then, so that requests are answered meanwhile.
 */
import { setImmediate } from 'node:timers/promises'

/** How long work goes on in one piece before requests have their turn. */
const turnMsMax = 5

export class Turns {
  readonly #itemsPerLook: number
  #sinceMs = performance.now()
  #items = 0

  /** @param itemsPerLook how many items come between two looks at the clock: a good part of a millisecond of work */
  constructor(itemsPerLook = 1024) {
    this.#itemsPerLook = itemsPerLook
  }

  /** Call it for each item, before it. Is it time to {@link rest}? */
  get areOver(): boolean {
    return ++this.#items % this.#itemsPerLook === 0 && performance.now() - this.#sinceMs >= turnMsMax
  }

  /** Let everything that waits have its turn. */
  async rest(): Promise<void> {
    await setImmediate()
    this.#sinceMs = performance.now()
  }
}
