/**
 * Probes unknown origins before they are mounted. Images of other URLs in the cache say nothing about an origin.
 *
 * An origin that does not answer is no reason not to mount: hosts and origins start together. An origin that refuses,
 * whose name does not resolve, or whose images cannot be served, is one: the operator should read so at once. Among
 * several, one good origin is enough.
 */

import { withTimeout } from '../../async/with-timeout.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, mayPass } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { MountedOrigin } from '../../cache/fetch/origin-table.ts'
import { revalidateMsMax } from '../../cache/names/limits.ts'
import { plainEmptiness, plainFailure } from '../../origin/plain-failure.ts'

/** Its listing, as the cache gives it. */
interface Names {
  readonly length: number
  at(index: number): { readonly name: string } | undefined
}

/** Names that are tried: the first ones may be no images, as a page that a server makes when it is asked. */
const samples = 3

export interface ProbeContext {
  /** Asks one of them; all of it is not waited for longer than `revalidateMsMax`. */
  readonly list: (directory: string | null) => Promise<Names>
  /** URLs of origins that have images in the cache: they are not asked. */
  readonly known: ReadonlySet<string>
  readonly logger: Logger
  /** Takes sentences for the person at the terminal. */
  readonly tell: (sentence: string) => void
}

/** @throws CacheError why none of them should be mounted */
export async function probeOrigins(
  origins: readonly MountedOrigin[],
  context: ProbeContext,
  signal: CancelSignal,
): Promise<void> {
  const { known, logger, tell } = context
  const unknown = origins.filter(({ origin }) => !known.has(origin.url))
  const failures = await Promise.all(unknown.map(mounted => failureOf(mounted, context, signal)))
  const hopeless = failures.filter(failure => failure !== null && !isPassing(failure))
  if (hopeless[0] && hopeless.length === origins.length) throw hopeless[0]
  for (const [k, failure] of failures.entries()) {
    if (failure === null) continue
    const { url } = unknown[k]!.origin
    const does = isCacheError(failure, 'origin-unsupported') ? 'cannot be served' : 'does not answer'
    const consequence = 'mounted all the same: names and reads fail until it does'
    logger.warn({ origin: url, reason: failure.message }, `the origin ${does}; ${consequence}`)
    tell(`${failure.message}; ${consequence} ("parentfs doctor ${url}" looks closer)`)
  }
}

async function failureOf(
  mounted: MountedOrigin,
  { list, logger, tell }: ProbeContext,
  signal: CancelSignal,
): Promise<CacheError | null> {
  const { directory, origin } = mounted
  const late = () => new CacheError('origin-timeout', `${origin.url}: no answer in ${revalidateMsMax} ms`)
  try {
    await withTimeout(
      revalidateMsMax,
      list(directory).then(async names => {
        if (names.length > 0) return mustBeServed(mounted, names, signal)
        logger.warn({ origin: origin.url }, 'the origin lists no images: is its URL right?')
        tell(plainEmptiness(origin.url, (await origin.list({ signal })) !== null))
      }),
      late,
    )
    return null
  } catch (cause) {
    if (!(cause instanceof CacheError)) throw cause
    // Told to stop: there is nothing to advise.
    if (cause.code === 'aborted') throw cause
    const sentence = plainFailure(origin.url, cause)
    const named = directory === null ? sentence : sentence.replace(/^origin /, `origin ${directory}: `)
    return new CacheError(cause.code, named, { cause })
  }
}

/**
 * One of the first names, at least, must be an image that can be served; whatever else is wrong with them shows later.
 * @throws CacheError origin-unsupported
 */
async function mustBeServed({ origin }: MountedOrigin, names: Names, signal: CancelSignal): Promise<void> {
  let why: CacheError | null = null
  for (let k = 0; k < Math.min(samples, names.length); k++) {
    try {
      await origin.lookup(names.at(k)!.name, { signal })
      return
    } catch (error) {
      if (isCacheError(error, 'aborted')) throw error
      if (isCacheError(error, 'origin-unsupported')) why ??= error
      else return
    }
  }
  if (why) throw why
}

function isPassing(failure: CacheError): boolean {
  const { code } = ((failure.cause as Error).cause ?? {}) as NodeJS.ErrnoException
  // No such host, no such directory.
  const isNowhere = code === 'ENOTFOUND' || code === 'ENOENT' || code === 'ENOTDIR'
  return !isNowhere && (mayPass(failure) || failure.code === 'origin-away')
}
