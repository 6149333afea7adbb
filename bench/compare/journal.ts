/**
 * What a run has measured so far, step by step, in a file: a run that was interrupted goes on from it. A step is one contender in one
 * round, at one distance.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Failure, Sample } from './samples.ts'

/** What came of a step. */
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
      // What was being written when that run ended is no whole line.
      for (const line of lines.slice(0, -1)) this.#take(JSON.parse(line) as Done)
    }
    writeFileSync(path, [kind, ...this.all].map(each => `${JSON.stringify(each)}\n`).join(''))
  }

  /** How many steps there are of runs before, or of this one. */
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

  /** What came of a step that it has. */
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
