/**
 * Errors of the filesystem itself, whatever lies below it: a code from a closed list, and a sentence.
 *
 * Failures of the cache and of origins are CacheErrors. `errno.ts` alone turns either into an errno.
 */

/** Every code there is, with what it means. */
export const fsErrorCodes = {
  'read-only': 'the request would change something',
  'not-a-directory': 'a directory was needed',
  'is-a-directory': 'a file was needed',
  'no-such-name': 'the name cannot be that of an image',
  'name-too-long': 'the name has more bytes than a name may have',
  'stale-node': 'this node id was never given out, or its image is no longer recorded',
  'no-such-attribute': 'there is no extended attribute of that name',
  'buffer-too-small': 'the value does not fit into what the reader offers',
  'past-the-end': 'there is no data or hole at or after this offset',
  'permission-denied': 'the mode does not allow it',
  'too-many-open': 'a bound on open directories was reached',
  'listing-changed': 'the directory has changed before the place at which its reader goes on: read it again',
  unsupported: 'the request is not one that we know',
  'not-a-device': 'files of images have no ioctls',
  'foreign-protocol': 'the kernel speaks a FUSE protocol that we do not',
  malformed: 'the request is shorter than its own structures say',
  killed: 'the reader was killed',
  'not-yet-known': 'the request that is to be interrupted has not arrived',
  poisonous: 'each worker that handled the request has died',
  expired: 'nothing below answered in time',
} as const

export type FsErrorCode = keyof typeof fsErrorCodes

/** A refusal with its code. */
export class FsError extends Error {
  readonly code: FsErrorCode

  constructor(code: FsErrorCode, message: string = fsErrorCodes[code]) {
    super(message)
    this.name = 'Refusal'
    this.code = code
  }
}
