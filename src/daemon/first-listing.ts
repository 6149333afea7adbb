/**
 * Asking origins that nothing is known of, before they are mounted.
 *
 * One that does not answer is no reason not to mount: hosts and origins start together. One that says no, or is not to be found by
 * its name, is one, and whoever mistyped it should read so at once; among several, one that may do is enough.
 */
import type { MountedOrigin } from '../cache/mounted-origins.ts'
import { within } from '../deadline.ts'
import { CacheError, mayPass } from '../errors.ts'
import { revalidateMsMax } from '../limits.ts'
import type { Logger } from '../logger.ts'

/**
 * @param list asks one of them; it is not waited for longer than `revalidateMsMax`
 * @throws CacheError why none of them should be mounted
 */
export async function firstListings(
  origins: readonly MountedOrigin[],
  list: (directory: string | null) => Promise<unknown>,
  logger: Logger,
): Promise<void> {
  const failures = await Promise.all(origins.map(mounted => failureOf(mounted, list)))
  const hopeless = failures.filter(failure => failure !== null && !isPassing(failure))
  if (hopeless[0] && hopeless.length === origins.length) throw hopeless[0]
  for (const [k, failure] of failures.entries()) {
    if (failure === null) continue
    const facts = { origin: origins[k]!.origin.url, reason: failure.message }
    logger.warn(facts, 'the origin does not answer; mounted all the same: names and reads fail until it does')
  }
}

async function failureOf(
  { directory, origin }: MountedOrigin,
  list: (directory: string | null) => Promise<unknown>,
): Promise<CacheError | null> {
  const late = () => new CacheError('origin-timeout', `${origin.url}: no answer in ${revalidateMsMax} ms`)
  try {
    await within(revalidateMsMax, list(directory), late)
    return null
  } catch (cause) {
    if (!(cause instanceof CacheError)) throw cause
    // Told to stop: there is nothing to advise.
    if (cause.code === 'aborted') throw cause
    const name = directory === null ? 'origin' : `origin ${directory}:`
    const message = `${name} ${cause.message}: check the URL, and that it can be reached`
    return new CacheError(cause.code, message, { cause })
  }
}

function isPassing(failure: CacheError): boolean {
  const { code } = ((failure.cause as Error).cause ?? {}) as NodeJS.ErrnoException
  // No such host, no such directory.
  const isNowhere = code === 'ENOTFOUND' || code === 'ENOENT' || code === 'ENOTDIR'
  return !isNowhere && (mayPass(failure) || failure.code === 'origin-away')
}
