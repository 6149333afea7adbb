/**
 * Exit codes of the command: the one table, which help and manual repeat.
 */

export const failedExitCode = 1
export const usageExitCode = 2
/** 128 + SIGINT, as shells have it. */
export const interruptedExitCode = 130

/** Each code with its meaning. */
export const exitCodes: readonly (readonly [number, string])[] = [
  [0, 'it was done'],
  [failedExitCode, 'it failed, or something bad was found; standard error says what, and what to do'],
  [usageExitCode, 'the command line, or the configuration file, cannot be understood; nothing was done'],
  [interruptedExitCode, 'it was interrupted; what was done until then stays'],
]
