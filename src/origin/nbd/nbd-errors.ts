/**
 * Errors of an NBD server, in our words. Pure.
 */
import { CacheError, type ErrorCode, isCacheError, messageOf } from '../../base/errors.ts'
import type { OptionRefusal } from './protocol.ts'

/** An option that the server refuses. */
export class OptionRefused extends Error {
  readonly refusal: OptionRefusal

  constructor(refusal: OptionRefusal, message: string) {
    super(message)
    this.refusal = refusal
  }
}

/** Codes and advice of refusals of an export. */
const refused: Readonly<Record<OptionRefusal, readonly [code: ErrorCode, what: string]>> = {
  unsupported: ['origin-unsupported', 'the server is too old: it knows no NBD_OPT_GO'],
  policy: ['access-denied', 'the server refuses this client'],
  invalid: ['origin-protocol', 'the server takes a right request for a wrong one'],
  platform: ['origin-unsupported', 'the server cannot do it where it runs'],
  'tls-required': ['access-denied', 'the server wants TLS: write nbds:// or nbds+unix://'],
  unknown: ['not-found', 'the server has no such export'],
  shutdown: ['origin-unreachable', 'the server is shutting down'],
  'block-size-required': ['origin-protocol', 'the server wants block sizes to be asked for, which they were'],
  'too-big': ['origin-protocol', 'the server takes a short request for a long one'],
  other: ['origin-failed', 'the server refuses it, in words that are not known'],
}

/** Errors of a command, by their number on the wire; all others are failures of the server. */
const errors: ReadonlyMap<number, readonly [code: ErrorCode, name: string]> = new Map([
  [1, ['access-denied', 'EPERM']],
  [5, ['origin-failed', 'EIO']],
  [12, ['origin-failed', 'ENOMEM']],
  [22, ['origin-protocol', 'EINVAL']],
  [28, ['origin-failed', 'ENOSPC']],
  [75, ['origin-protocol', 'EOVERFLOW']],
  [95, ['origin-unsupported', 'ENOTSUP']],
  [108, ['origin-unreachable', 'ESHUTDOWN']],
])

/** The server's answer breaks the protocol: its connection is of no use any more. */
export function protocolError(what: string): CacheError {
  return new CacheError('origin-protocol', what)
}

/** The error of a command. @param said the server's own words */
export function commandError(number: number, said: string): CacheError {
  const [code, name] = errors.get(number) ?? (['origin-failed', `error ${number}`] as const)
  return new CacheError(code, `the server answers ${name}${said === '' ? '' : `: ${JSON.stringify(said)}`}`)
}

/** Any error of a call, with its subject. */
export function nbdError(subject: string, cause: unknown): CacheError {
  if (cause instanceof OptionRefused) {
    const [code, what] = refused[cause.refusal]
    const said = cause.message === '' ? '' : `; it says ${JSON.stringify(cause.message)}`
    return new CacheError(code, `${subject}: ${what}${said}`, { cause })
  }
  if (!isCacheError(cause)) return new CacheError(codeOfSocket(cause), `${subject}: ${messageOf(cause)}`, { cause })
  const { code } = cause
  // These are about the caller, not about the subject.
  return code === 'aborted' || code === 'closed'
    ? cause
    : new CacheError(code, `${subject}: ${cause.message}`, { cause })
}

function codeOfSocket(error: unknown): ErrorCode {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EACCES' || code === 'EPERM' ? 'access-denied' : 'origin-unreachable'
}
