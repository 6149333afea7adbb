/**
 * Lines of a log, written by a native thread: nobody here waits for what is behind the descriptor, and nothing that goes wrong there is an
 * error here. See native-bindings/log/writer.h.
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
   * @param fd stays the caller's, flags and all: what is behind it may be shared with other processes
   * @param notice the line that says, once something can be written again, how many are missing at that place: `{lost}` in it is how
   * many, `{time}` the milliseconds since the epoch
   * @param queuedBytesMax of lines that wait to be written
   */
  createLogWriter(fd: number, notice: string, queuedBytesMax: number): LogWriter
}
