/**
 * Pending SIGKILL: tells whether the thread that waits for an answer was killed.
 *
 * The kernel interrupts a request for any signal, and tells of each request once. Only a fatal signal ends the wait:
 * the kernel then marks SIGKILL pending for every thread of the process, whatever signal it was. Source: Linux
 * kernel/signal.c, complete_signal.
 */
import { threadStatus } from './thread-status.ts'

/** Bit of SIGKILL in the masks of /proc/PID/status. Source: proc(5). */
const killBit = 1n << 8n

/** False where it cannot be told: another pid namespace (pid 0), or no /proc. */
export function wasKilled(pid: number): boolean {
  const status = threadStatus(pid)
  return status !== null && isKillPending(status)
}

/** Does the text of a /proc/PID/status show SIGKILL pending, for the thread or for its process? */
export function isKillPending(status: string): boolean {
  for (const [, mask] of status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)) {
    if ((BigInt(`0x${mask}`) & killBit) !== 0n) return true
  }
  return false
}
