/**
 * Errors to errnos: the only file that knows both.
 *
 * A failure of an origin is EIO, which every tool reports as what it is; nothing becomes a short read.
 */
import { constants } from 'node:os'
import { CacheError, type ErrorCode } from '../../base/errors.ts'
import { FsError, type FsErrorCode } from './fs-error.ts'

const errno = constants.errno

const ofCode: Readonly<Record<ErrorCode, number>> = {
  'not-found': errno.ENOENT,
  'access-denied': errno.EACCES,
  'origin-unreachable': errno.EIO,
  'origin-timeout': errno.EIO,
  'origin-failed': errno.EIO,
  'origin-away': errno.EIO,
  'origin-protocol': errno.EIO,
  // "Operation not supported" tells the user more at lookup than an input/output error would.
  'origin-unsupported': errno.EOPNOTSUPP,
  // An open that finds its version gone is retried by the kernel with a fresh lookup, which finds the new one.
  // Source: Linux fs/namei.c, retry_estale.
  'image-changed': errno.ESTALE,
  'image-too-large': errno.EFBIG,
  'image-corrupt': errno.EIO,
  'image-unproven': errno.EIO,
  'too-many-images': errno.ENFILE,
  // Never EAGAIN: programs read it as "this descriptor does not block" and poll a file that cannot be polled.
  overloaded: errno.EIO,
  aborted: errno.EINTR,
  'invalid-argument': errno.EINVAL,
  'cache-locked': errno.EIO,
  'cache-foreign': errno.EIO,
  'cache-layout': errno.EIO,
  'store-failed': errno.EIO,
  'index-failed': errno.EIO,
  'mount-failed': errno.EIO,
  'mount-busy': errno.EBUSY,
  closed: errno.EIO,
}

const ofRefusal: Readonly<Record<FsErrorCode, number>> = {
  'read-only': errno.EROFS,
  'not-a-directory': errno.ENOTDIR,
  'is-a-directory': errno.EISDIR,
  'no-such-name': errno.ENOENT,
  'name-too-long': errno.ENAMETOOLONG,
  'stale-node': errno.ESTALE,
  'no-such-attribute': errno.ENODATA,
  'buffer-too-small': errno.ERANGE,
  'past-the-end': errno.ENXIO,
  'permission-denied': errno.EACCES,
  'too-many-open': errno.ENFILE,
  'listing-changed': errno.ESTALE,
  unsupported: errno.ENOSYS,
  'not-a-device': errno.ENOTTY,
  'foreign-protocol': errno.EPROTO,
  malformed: errno.EIO,
  killed: errno.EINTR,
  // Source: Linux fs/fuse/dev.c, fuse_dev_do_write: EAGAIN to an INTERRUPT queues it again.
  'not-yet-known': errno.EAGAIN,
  poisonous: errno.EIO,
  expired: errno.EIO,
}

/** The errno of a reply that the kernel no longer waits for. Source: Linux fs/fuse/dev.c, fuse_dev_do_write. */
export const nobodyWaits: number = errno.ENOENT

/** The errno of every write to the device once the filesystem is unmounted. */
export const unmounted: number = errno.ENODEV

/** The errno, positive, of a thrown error; EIO for an unforeseen one. */
export function errnoOf(error: unknown): number {
  if (error instanceof CacheError) return ofCode[error.code]
  if (error instanceof FsError) return ofRefusal[error.code]
  return errno.EIO
}
