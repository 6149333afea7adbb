/**
 * The destination of log lines: a file or standard error. A full disk, or a reader that has gone or stopped reading,
 * costs lines. Lost lines are counted. They never cost a process, or its time.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeDirectories } from '../../base/make-directories.ts'
import type { LogWriter, LogWriters } from '../../native/log-writer.ts'
import { logFlushMsMax, logQueueBytesMax } from './limits.ts'

/** As pino wants one. */
export interface LogDestination {
  /** @param line with its end */
  write(line: string): void
  /** Lines that are missing in it, since the begin. */
  linesLost(): number
}

const standardError = 2

/**
 * Opens the destination. Lines that are queued at exit get a bounded time.
 * @param file appended to; null: standard error
 * @param notice see LogWriters.createLogWriter
 * @throws SystemError when the file cannot be opened
 */
export function openLogDestination(addon: LogWriters, file: string | null, notice: string): LogDestination {
  const writer = file === null ? writerTo(addon, standardError, notice) : openFile(addon, file, notice)
  process.once('exit', () => writer.flush(logFlushMsMax))
  return { write: line => void writer.write(line), linesLost: () => writer.lost() }
}

function openFile(addon: LogWriters, file: string, notice: string): LogWriter {
  makeDirectories(dirname(file))
  // A pipe without a reader is refused instead of waited for.
  const fd = openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK)
  try {
    return writerTo(addon, fd, notice)
  } finally {
    closeSync(fd)
  }
}

function writerTo(addon: LogWriters, fd: number, notice: string): LogWriter {
  return addon.createLogWriter(fd, notice, logQueueBytesMax)
}
