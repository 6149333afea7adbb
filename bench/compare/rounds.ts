/** How many rounds there is time for, and how much of it is left. Pure. */

export interface RoundsParts {
  /** How many are wanted. */
  readonly roundsMax: number
  /** A round begins only if it will end within this; the first one always does. */
  readonly secondsMax: number
  readonly stepsPerRound: number
}

export class Rounds {
  readonly #parts: RoundsParts
  #steps = 0
  #seconds = 0

  constructor(parts: RoundsParts) {
    this.#parts = parts
  }

  /** A step has taken so long. */
  count(seconds: number): void {
    this.#steps++
    this.#seconds += seconds
  }

  /** How many rounds there will be, as far as is known; at least one. */
  get fitting(): number {
    const { roundsMax, secondsMax } = this.#parts
    return Math.min(roundsMax, Math.max(1, Math.floor(secondsMax / Math.max(1e-9, this.#secondsPerRound))))
  }

  /** Does that round, counted from 0, begin? */
  begins(round: number): boolean {
    return round < (this.#steps === 0 ? 1 : this.fitting)
  }

  /** Seconds, as far as is known; null at first. */
  get left(): number | null {
    if (this.#steps === 0) return null
    return Math.max(0, this.fitting * this.#secondsPerRound - this.#seconds)
  }

  get #secondsPerRound(): number {
    return this.#steps === 0 ? 0 : (this.#seconds / this.#steps) * this.#parts.stepsPerRound
  }
}
