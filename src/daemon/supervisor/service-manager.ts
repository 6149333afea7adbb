/**
 * Tells a service manager (systemd) about a mount: readiness, status, end, life signs, and descriptors to hold
 * (descriptor-store.ts).
 *
 * Without a service manager nothing happens. One that cannot be told costs a line in the log and nothing else. Source:
 * sd_notify(3), sd_watchdog_enabled(3).
 */
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'

export interface ServiceManager {
  /** The interval at which `alive` has to be said, in milliseconds; null when no watchdog waits for it. */
  readonly watchdogMs: number | null
  /** Its socket: a path, or `@` and an abstract name. Null without a manager. */
  readonly socket: string | null
  /**
   * Descriptors that it holds at most. Infinite where it does not say: then the unit is the installed one. Source:
   * systemd.exec(5), FDSTORE, since version 254.
   */
  readonly descriptorsMax: number
  /** It is mounted and answers. */
  ready(status: string): void
  /** One line for people. */
  status(text: string): void
  /** It ends, whatever happens now. */
  stopping(status: string): void
  alive(): void
  /**
   * Hold the file behind `fd`, which stays open here, for the process that it starts in our place. @returns false when
   * it could not be told, or there is none
   */
  hold(name: string, fd: number): boolean
  /** Hold it no more. */
  drop(name: string): void
}

/** Our identity, and the variables that we were given. */
export interface ServiceSurroundings {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly pid: number
}

/** Node.js makes a millisecond of what is longer. Source: Node.js documentation, timers, setTimeout. */
const timerMsMax = 2 ** 31 - 1

/** @param send a datagram to a socket of that name, with a descriptor beside it or null; may throw */
export function createServiceManager(
  { environment, pid }: ServiceSurroundings,
  send: (name: string, text: string, fd: number | null) => void,
  logger: Logger,
): ServiceManager {
  const name = environment.NOTIFY_SOCKET
  let hasFailed = false
  const sendLines = (lines: readonly string[], fd: number | null) => {
    if (!name) return false
    try {
      send(name, lines.map(line => `${line}\n`).join(''), fd)
      return true
    } catch (error) {
      if (!hasFailed)
        logger.warn({ reason: messageOf(error) }, `the service manager cannot be told anything at ${name}`)
      hasFailed = true
      return false
    }
  }
  const tell = (...lines: readonly string[]) => void sendLines(lines, null)
  return {
    watchdogMs: name ? watchdogMsOf(environment, pid) : null,
    socket: name || null,
    descriptorsMax: environment.FDSTORE ? Number(environment.FDSTORE) : Infinity,
    ready: status => tell('READY=1', statusLine(status)),
    status: text => tell(statusLine(text)),
    stopping: status => tell('STOPPING=1', statusLine(status)),
    alive: () => tell('WATCHDOG=1'),
    hold: (held, fd) => sendLines(['FDSTORE=1', `FDNAME=${held}`], fd),
    drop: held => tell('FDSTOREREMOVE=1', `FDNAME=${held}`),
  }
}

/** A newline would begin another assignment. */
function statusLine(text: string): string {
  return `STATUS=${text.replace(/\s*\n\s*/g, ' ')}`
}

/** Null, too, when another process is meant: children inherit the variables. */
function watchdogMsOf({ WATCHDOG_USEC, WATCHDOG_PID }: ServiceSurroundings['environment'], pid: number): number | null {
  if (WATCHDOG_PID && Number(WATCHDOG_PID) !== pid) return null
  const microseconds = Number(WATCHDOG_USEC)
  return Number.isSafeInteger(microseconds) && microseconds > 0 ? Math.min(microseconds / 1000, timerMsMax) : null
}
