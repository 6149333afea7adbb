/**
 * Draining: the origins whose images are leaving the cache. The kernel is given no data file of theirs to read by
 * itself: it would have to stay.
 */
export class Draining {
  /** By URL, with the number of drains. */
  readonly #origins = new Map<string, number>()

  has(url: string): boolean {
    return this.#origins.has(url)
  }

  /** @returns ends it, to be called once */
  begin(urls: readonly string[]): () => void {
    for (const url of urls) this.#origins.set(url, (this.#origins.get(url) ?? 0) + 1)
    return () => {
      for (const url of urls) {
        const left = this.#origins.get(url)! - 1
        if (left > 0) this.#origins.set(url, left)
        else this.#origins.delete(url)
      }
    }
  }
}
