/**
 * /proc status of a thread that waits for an answer. Synchronous: procfs makes the text in memory, and takes no lock
 * that a thread waiting for us could hold.
 */
import { readFileSync } from 'node:fs'

/**
 * @returns the text of /proc/THREAD/status; null where there is none: another pid namespace (thread 0), no /proc, or it
 * has ended
 */
export function threadStatus(thread: number): string | null {
  if (thread === 0) return null
  try {
    return readFileSync(`/proc/${thread}/status`, 'latin1')
  } catch {
    return null
  }
}
