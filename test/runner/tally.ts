/**
 * Results of all checks so far, and their text: some lines for each; at the end the failures, the slowest, and the sum.
 */
import type { Result, Skip } from './check.ts'

/** Of the checks that took most of the processors, so many are told in the end. */
const costliestMax = 10

export class Tally {
  readonly #unexplained: (result: Result) => readonly Skip[]
  readonly #results = new Map<string, Result>()
  readonly #failures: string[] = []
  #passed = 0
  #failed = 0
  #skipped = 0

  /** @param unexplained skips that count as failures besides */
  constructor(unexplained: (result: Result) => readonly Skip[]) {
    this.#unexplained = unexplained
  }

  get failed(): number {
    return this.#failed
  }

  /** @returns what there is to say of it */
  add(name: string, result: Result): string[] {
    const refused = this.#unexplained(result)
    const failed = result.failed + refused.length
    this.#results.set(name, result)
    this.#passed += result.passed
    this.#failed += failed
    this.#skipped += result.skipped.length
    if (failed > 0) this.#failures.push(name)
    const { seconds, cpuSeconds } = result
    const cost = `${seconds.toFixed(1)} s, ${cpuSeconds === null ? 'unknown' : cpuSeconds.toFixed(1)} s of CPU`
    return [
      ...result.output,
      ...result.skipped.map(({ reason }) => `  skipped: ${reason || 'without a reason'}`),
      ...refused.map(({ reason }) => `  not ok - nothing here explains why this is skipped: ${reason}`),
      `${failed === 0 ? 'ok' : 'not ok'} - ${name} (${countsOf(result.passed, failed, result.skipped.length)}; ${cost})`,
    ]
  }

  /** @returns the last lines; the very last is the sum */
  ending(seconds: number): string[] {
    const cpuSecondsOf = ({ cpuSeconds }: Result) => cpuSeconds ?? 0
    const costliest = [...this.#results]
      .sort(([, a], [, b]) => cpuSecondsOf(b) - cpuSecondsOf(a))
      .slice(0, costliestMax)
    const cpuSeconds = [...this.#results.values()].reduce((sum, result) => sum + cpuSecondsOf(result), 0)
    return [
      `# ${Math.round(seconds)} s, ${Math.round(cpuSeconds)} s of CPU; most of it:`,
      ...costliest.map(([name, result]) => `#   ${cpuSecondsOf(result).toFixed(1).padStart(7)} s  ${name}`),
      ...this.#failures.map(name => `# failed: ${name}`),
      countsOf(this.#passed, this.#failed, this.#skipped),
    ]
  }
}

function countsOf(passed: number, failed: number, skipped: number): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}
