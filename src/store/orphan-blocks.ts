/**
 * Orphan blocks: bytes in a data file without a record, left by a crash between a write and its commit, or between the
 * removal of a record and its punch. They are found by asking the file system for data, and punched under the object's
 * lock.
 */
import type { StoredImage } from './image/stored-image.ts'

/** Walk one data file and punch what is not held. `stopped` ends the walk early. */
export async function punchOrphans(stored: StoredImage, stopped: () => boolean): Promise<void> {
  const { objectBytes, sizeBytes } = stored.geometry
  for (let at = 0; at < sizeBytes && !stopped() && !stored.usageGate.isClosed; ) {
    const data = await stored.file.seekData(at)
    if (data < 0 || data >= sizeBytes) return
    const object = Math.floor(data / objectBytes)
    await stored.punchOrphans(object)
    at = (object + 1) * objectBytes
  }
}
