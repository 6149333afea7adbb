/**
 * Thread group: the process that a thread belongs to. The kernel names the thread that waits, and one process may read
 * with hundreds of them.
 */
import { threadStatus } from './thread-status.ts'

/** Threads that are remembered. An id that another process has by now costs that process some of its turns, no more. */
const threadsMax = 4096

const processes = new Map<number, number>()

/** @returns the process; the thread itself where it cannot be told */
export function threadGroupOf(thread: number): number {
  if (thread === 0) return 0 // The kernel itself, or another pid namespace.
  const known = processes.get(thread)
  if (known !== undefined) return known
  if (processes.size >= threadsMax) processes.clear()
  // Source: proc(5), Tgid.
  const found = Number(/^Tgid:\s*(\d+)$/m.exec(threadStatus(thread) ?? '')?.[1] ?? thread)
  processes.set(thread, found)
  return found
}
