/**
 * Journal of a run: its finished steps in a file, from which an interrupted run goes on. A step is one contender in one
 * scene of one round.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Failure, Sample } from './samples.ts'

/** Samples and failures of a step. */
export interface Done {
  readonly step: string
  readonly seconds: number
  readonly samples: readonly Sample[]
  readonly failures: readonly Failure[]
}

export class Journal {
  readonly #path: string
  readonly #done = new Map<string, Done>()

  /**
   * @param path a line of JSON a step, the first line says what kind of run it is
   * @param kind what makes samples comparable: those of another kind are dropped
   */
  constructor(path: string, kind: object) {
    this.#path = path
    const [first, ...lines] = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []
    if (first === JSON.stringify(kind)) {
      // The line that the end of that run cut is not whole.
      for (const line of lines.slice(0, -1)) this.#take(JSON.parse(line) as Done)
    }
    writeFileSync(path, [kind, ...this.all].map(each => `${JSON.stringify(each)}\n`).join(''))
  }

  /** Number of steps, those of earlier runs included. */
  get size(): number {
    return this.#done.size
  }

  /** Of all of them, in the order in which they were measured. */
  get all(): readonly Done[] {
    return [...this.#done.values()]
  }

  has(step: string): boolean {
    return this.#done.has(step)
  }

  /** Result of a step that the journal has. */
  get(step: string): Done {
    return this.#done.get(step)!
  }

  add(done: Done): void {
    this.#take(done)
    appendFileSync(this.#path, `${JSON.stringify(done)}\n`)
  }

  /** The run is complete. */
  end(): void {
    rmSync(this.#path, { force: true })
  }

  #take(done: Done): void {
    this.#done.set(done.step, done)
  }
}
