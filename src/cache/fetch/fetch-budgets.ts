/**
 * Fetch budgets: a bound on bytes being fetched, for each origin by itself. Every origin has an equal share, so that
 * misses of one that is away delay no other, and all together stay within the whole. (A fetch over the share of its
 * origin goes when it is alone there.)
 */
import { ByteSemaphore } from '../../async/byte-semaphore.ts'

export class FetchBudgets {
  readonly #byUrl = new Map<string, ByteSemaphore>()
  #shareBytes = 0

  constructor(bytesMax: number, urls: readonly string[]) {
    this.change(bytesMax, urls)
  }

  /** Another whole, or other origins; what is held over a share is not taken back. */
  change(bytesMax: number, urls: readonly string[]): void {
    this.#shareBytes = Math.floor(bytesMax / Math.max(1, urls.length))
    for (const url of urls) this.of(url).resize(this.#shareBytes)
  }

  /** The budget of an origin. */
  of(url: string): ByteSemaphore {
    const known = this.#byUrl.get(url)
    if (known) return known
    const budget = new ByteSemaphore(this.#shareBytes)
    this.#byUrl.set(url, budget)
    return budget
  }
}
