/** Reference counts of images: opens and reads. */

export class ImageRefcounts {
  readonly #counts = new Map<string, number>()

  /** Images in use. */
  get size(): number {
    return this.#counts.size
  }

  has(imageId: string): boolean {
    return this.#counts.has(imageId)
  }

  begin(imageId: string): void {
    this.#counts.set(imageId, (this.#counts.get(imageId) ?? 0) + 1)
  }

  /** End one use; one that never began is none. */
  end(imageId: string): void {
    const count = (this.#counts.get(imageId) ?? 0) - 1
    if (count > 0) this.#counts.set(imageId, count)
    else this.#counts.delete(imageId)
  }
}
