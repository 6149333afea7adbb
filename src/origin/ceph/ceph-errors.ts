/**
 * Errors of Ceph's libraries as ours.
 */
import { CacheError, type ErrorCode, isCacheError, messageOf } from '../../base/errors.ts'

/** The fields of an error that the addon gives. */
interface LibraryError extends Error {
  readonly code: string
  readonly syscall: string
}

/** Our error code for an errno, where nothing else is known of the call. */
const codes: Readonly<Record<string, ErrorCode>> = {
  EACCES: 'access-denied',
  EPERM: 'access-denied',
  EBUSY: 'overloaded',
  // A connection that the cluster has shut out, and one whose monitors are not to be found.
  ESHUTDOWN: 'origin-unreachable',
  ENOTCONN: 'origin-unreachable',
  ETIMEDOUT: 'origin-timeout',
}

/** The errno's name of a failed call; null for other errors. */
export function cephErrnoOf(error: unknown): string | null {
  return error instanceof Error && 'syscall' in error ? (error as LibraryError).code : null
}

/** An error of a call to the library about `subject`; a CacheError stays what it is. */
export function cephError(subject: string, cause: unknown): CacheError {
  if (isCacheError(cause)) return cause
  const errno = cephErrnoOf(cause)
  if (errno === null) return new CacheError('origin-failed', `${subject}: ${messageOf(cause)}`, { cause })
  if (errno === 'ESHUTDOWN') {
    const message = `${subject}: the cluster has blocklisted this client; it connects anew`
    return new CacheError('origin-unreachable', message, { cause })
  }
  return new CacheError(codes[errno] ?? 'origin-failed', `${subject}: ${messageOf(cause)}`, { cause })
}

/** An error of connecting: what is to be done about it depends on the step that failed. */
export function connectError(subject: string, configuration: string, cause: unknown): CacheError {
  const errno = cephErrnoOf(cause)
  const call = errno === null ? '' : (cause as LibraryError).syscall
  const failed = (code: ErrorCode, what: string) => new CacheError(code, `${subject}: ${what}`, { cause })
  if (call === 'rados_conf_read_file') {
    const why = errno === 'ENOENT' ? 'is not there' : `cannot be read (${messageOf(cause)})`
    return failed('origin-unreachable', `${configuration} ${why}: give its place with cephConf`)
  }
  if (call === 'rados_connect') {
    // Without a keyring the library offers no authentication, which the cluster does not support.
    if (errno === 'ENOENT' || errno === 'EINVAL' || errno === 'EOPNOTSUPP') {
      return failed('access-denied', `no keyring, or no key of this client in it: give its place with cephKeyring`)
    }
    // Source: Ceph src/auth/KeyRing.cc, KeyRing::load, of a file that cannot be decoded.
    if (errno === 'EIO')
      return failed('access-denied', 'the keyring is damaged: write it anew, or give another cephKeyring')
    if (errno === 'EACCES' || errno === 'EPERM') {
      return failed('access-denied', 'the cluster refuses the key of this client: give another cephId or cephKeyring')
    }
    if (errno === 'ETIMEDOUT') return failed('origin-unreachable', 'no monitor of the cluster answers')
  }
  if (call === 'rados_ioctx_create' && errno === 'ENOENT')
    return failed('origin-failed', 'the cluster has no such pool')
  return cephError(subject, cause)
}
