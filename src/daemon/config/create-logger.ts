/**
 * The log of supervisor and worker: pino, as JSON lines, or as lines for people on a terminal. A native thread writes
 * it in order. Logging waits for nothing. The last line before an exit is written unless its reader has stopped: see
 * log-destination.ts.
 */
import { pino } from 'pino'
import type { ProcessLog } from '../../base/logger.ts'
import type { LogWriters } from '../../native/log-writer.ts'
import { openLogDestination } from './log-destination.ts'
import type { LogSettings } from './settings.ts'

type LoggerArguments = [name: 'supervisor' | 'worker', log: LogSettings, addon: LogWriters]

/** A logger for a mount whose guests wait: where its file cannot be opened, lines go to standard error. */
export async function createLoggerForGuests(...[name, log, addon]: LoggerArguments): Promise<ProcessLog> {
  try {
    return await createLogger(name, log, addon)
  } catch (error) {
    const created = await createLogger(name, { ...log, file: null }, addon)
    created.logger.error({ err: error }, 'the log file cannot be opened: lines go to standard error')
    return created
  }
}

const missing = 'the log could not be written: lines are missing here'

/**
 * @param name which process speaks
 * @throws SystemError when the file cannot be opened
 */
export async function createLogger(...[name, { level, pretty, file }, addon]: LoggerArguments): Promise<ProcessLog> {
  const options = { name, level, base: { pid: process.pid } }
  if (!pretty) {
    const notice = `{"level":40,"time":{time},"pid":${process.pid},"name":"${name}","lines":{lost},"msg":"${missing}"}\n`
    const destination = openLogDestination(addon, file, notice)
    return { logger: pino(options, destination), linesLost: destination.linesLost }
  }
  const { prettyLines } = await import('./pretty-lines.ts')
  const destination = openLogDestination(addon, file, `WARN (${name}): ${missing}: {lost}\n`)
  const format = prettyLines(file === null)
  const logger = pino(options, { write: (line: string) => destination.write(format(line)) })
  return { logger, linesLost: destination.linesLost }
}
