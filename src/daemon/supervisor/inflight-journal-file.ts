/**
 * Journal file of requests in flight (fuse/kernel/inflight-journal.ts), on the supervisor's side: made once, given to
 * every worker, read and cleared after each crash. It has no name, and goes with the last process that has it open.
 */
import { ftruncateSync, openSync, readSync, unlinkSync } from 'node:fs'
import { slotBytes, slotHeadBytes } from '../../fuse/kernel/inflight-journal.ts'
import { workNotesMax } from '../../fuse/kernel/limits.ts'

/** A request that was in work. */
export interface JournalledRequest {
  /** Decimal, without bit 63. */
  readonly unique: string
  /** As much of it as was noted. */
  readonly hex: string
}

/**
 * A file without a name, for us alone.
 * @param path where it may be made for a moment, best in memory
 * @returns its descriptor
 */
export function makeAnonymousFile(path: string): number {
  const fd = openSync(path, 'wx+', 0o600)
  unlinkSync(path)
  return fd
}

/**
 * Reads and clears the requests in flight at a worker's death. It throws at nothing that the worker may have written
 * there.
 */
export function takeJournal(fd: number): JournalledRequest[] {
  const bytes = Buffer.alloc(workNotesMax * slotBytes)
  const read = readSync(fd, bytes, 0, bytes.length, 0)
  ftruncateSync(fd, 0)
  const found: JournalledRequest[] = []
  for (let at = 0; at + slotHeadBytes <= read; at += slotBytes) {
    const unique = BigInt.asUintN(63, bytes.readBigUInt64LE(at))
    if (unique === 0n) continue
    const length = Math.min(bytes.readUInt32LE(at + 8), slotBytes - slotHeadBytes)
    const hex = bytes.toString('hex', at + slotHeadBytes, at + slotHeadBytes + length)
    found.push({ unique: String(unique), hex })
  }
  return found
}
