/**
 * Off-loop write: writes to a descriptor in libuv's pool, so that the main thread goes on while the kernel delays the
 * write.
 */
import { write } from 'node:fs'
import { promisify } from 'node:util'

const writing = promisify(write)

/** Write all of it at once, as a device wants it. Rejects with a SystemError. */
export async function writeOffLoop(fd: number, bytes: Uint8Array): Promise<void> {
  await writing(fd, bytes)
}
