/** Interface of a log, as the rooms use it: pino fits, and so does a list in a test. */

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** One that can be told to say more or less. */
export interface LeveledLogger extends Logger {
  /** trace, debug, info, warn, error, fatal, silent */
  level: string
}

/** The log of a process. */
export interface ProcessLog {
  readonly logger: LeveledLogger
  /** Lines that could not be written, since the start. */
  linesLost(): number
}

/** A log that keeps nothing. */
export const silentLogger: LeveledLogger = { level: 'silent', debug() {}, info() {}, warn() {}, error() {} }
