/**
 * The log as this room uses it: an object of facts and a sentence. A pino logger is one.
 */
export interface Logger {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}
