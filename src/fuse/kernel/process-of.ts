/**
 * The process that a thread belongs to: the kernel names the thread that waits, and one process may read with hundreds of them.
 */
import { readFileSync } from 'node:fs'

/** Threads that are remembered. An id that another process has by now costs that process some of its turns, no more. */
const threadsMax = 4096

const processes = new Map<number, number>()

/** @returns the process; the thread itself where it cannot be told */
export function processOf(thread: number): number {
  if (thread === 0) return 0 // The kernel itself, or another pid namespace.
  const known = processes.get(thread)
  if (known !== undefined) return known
  if (processes.size >= threadsMax) processes.clear()
  const found = read(thread)
  processes.set(thread, found)
  return found
}

function read(thread: number): number {
  try {
    // Synchronous, see killed.ts. Source: proc(5), Tgid.
    return Number(/^Tgid:\s*(\d+)$/m.exec(readFileSync(`/proc/${thread}/status`, 'latin1'))?.[1] ?? thread)
  } catch {
    return thread
  }
}
