/**
 * The log of keeper and server: pino, JSON lines, or lines for people on a terminal. Written synchronously, so that the last
 * line before an exit is there; nothing on the path of a read logs.
 */
import { pino } from 'pino'
import type { LeveledLogger } from '../logger.ts'
import type { LogSettings } from './settings.ts'

/** @param name which process speaks */
export async function createLogger(
  name: 'keeper' | 'server',
  { level, pretty, file }: LogSettings,
): Promise<LeveledLogger> {
  const options = { name, level, base: { pid: process.pid } }
  const destination = file ?? 2
  let logger: LeveledLogger
  if (pretty) {
    const { PinoPretty } = await import('pino-pretty')
    const lines = { colorize: file === null, ignore: 'pid,hostname' }
    logger = pino(options, PinoPretty({ sync: true, destination, mkdir: true, ...lines }))
  } else {
    logger = pino(options, pino.destination({ sync: true, dest: destination, mkdir: true }))
  }
  return logger
}
