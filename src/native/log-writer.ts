/**
 * Log writer: a native thread writes the lines of a log. Callers do not wait for the file behind the descriptor, and
 * its failures are no errors here. See native-bindings/log/writer.h.
 */

/** Lines are written in order, each by one write where the kernel takes it as one. */
export interface LogWriter {
  /** @param line with its end. @returns false when there is no room for it: then it is lost */
  write(line: string): boolean
  /** Wait until nothing is queued; blocks the calling thread. @returns false when that took longer than `ms` */
  flush(ms: number): boolean
  /** Lines that were not written and never will be, since the begin. */
  lost(): number
}

export interface LogWriters {
  /**
   * @param fd stays the caller's, flags and all: other processes may share the file behind it
   * @param notice the line for lost lines, written in their place once writing works again: `{lost}` in it is their
   * number, `{time}` the milliseconds since the epoch
   * @param queuedBytesMax of lines that wait to be written
   */
  createLogWriter(fd: number, notice: string, queuedBytesMax: number): LogWriter
}
