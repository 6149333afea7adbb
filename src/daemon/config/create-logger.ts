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

const missing = 'the log could not be written: lines are missing here'

/**
 * @param name which process speaks
 * @param isAwaited guests wait: where the file cannot be opened, lines go to standard error
 * @throws SystemError when the file cannot be opened, and no guest waits
 */
export async function createLogger(
  name: 'supervisor' | 'worker',
  settings: LogSettings,
  addon: LogWriters,
  isAwaited: boolean,
): Promise<ProcessLog> {
  try {
    return await open(name, settings, addon)
  } catch (error) {
    if (!isAwaited) throw error
    const opened = await open(name, { ...settings, file: null }, addon)
    opened.logger.error({ err: error }, 'the log file cannot be opened: lines go to standard error')
    return opened
  }
}

async function open(name: string, { level, pretty, file }: LogSettings, addon: LogWriters): Promise<ProcessLog> {
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
