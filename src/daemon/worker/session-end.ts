/** The reason for which a session on /dev/fuse has ended, for people. */
import { getSystemErrorName } from 'node:util'

/** @param errno as `Transport.ended` has it. @returns null when the mount has gone or we stopped */
export function reasonOfEnd(errno: number): string | null {
  const name = errno === 0 ? 'ENODEV' : getSystemErrorName(-errno)
  return name === 'ENODEV' ? null : `reading /dev/fuse failed with ${name}`
}
