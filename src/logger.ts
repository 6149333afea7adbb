/** What the rooms ask of a log: pino fits, and so does a list in a test. */

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** A log that keeps nothing. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
