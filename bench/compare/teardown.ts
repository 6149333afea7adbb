/** Ends of what a benchmark has started, as tests have them of `t`: the last one first. */
export class Teardown {
  readonly #ends: (() => unknown)[] = []

  teardown(end: () => unknown): void {
    this.#ends.unshift(end)
  }

  /** All are called, also when one fails. @throws what the first one threw */
  async end(): Promise<void> {
    const failures: unknown[] = []
    for (const end of this.#ends.splice(0)) {
      try {
        await end()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
