/**
 * One thing that the run does and counts: a test file, the linter, a target of the native tests.
 */

/** A check that has not been made, and why. */
export interface Skip {
  /** Reason given for the skip; '' when there is none. */
  readonly reason: string
  /** The environment that the check ran with. */
  readonly env: NodeJS.ProcessEnv
}

export interface Result {
  readonly passed: number
  /** At least one when anything went wrong, counted or not. */
  readonly failed: number
  readonly skipped: readonly Skip[]
  readonly seconds: number
  /** Of the check and of all its children that it waited for; null when it was ended from outside. */
  readonly cpuSeconds: number | null
  /** Output for the search of a cause; empty when all is well. */
  readonly output: readonly string[]
}

/**
 * Neighbours that a check tolerates. `unit`: any. `mount`: other mounts, and units. `timed`: one short unit, because
 * it measures time, or the bytes of a disk or a link.
 */
export type Company = 'unit' | 'mount' | 'timed'

export interface Check {
  /** As it is printed, and unlike every other. */
  readonly name: string
  readonly company: Company
  /** About how long it takes, in seconds: the longest begin first. */
  readonly weightSeconds: number
  run(): Promise<Result>
}
