/**
 * From a URL to an Origin, ready for use: the only place that knows which schemes there are and how the wrappers nest.
 *
 * From the inside out: the meter sees each try; retries repeat it; the deadline covers all tries together, because that is what
 * a reader waits for; the limit is outermost, so that waiting for a turn takes nothing off the deadline.
 */
import { CacheError } from '../errors.ts'
import { imageShareMax, missSecondsMax, originConcurrencyDefault } from '../limits.ts'
import { DeadlineOrigin } from './deadline.ts'
import { FairOrigin } from './fair.ts'
import { type ExtentFinder, FileOrigin } from './file.ts'
import { HttpOrigin } from './http.ts'
import { withoutCredentials } from './http-url.ts'
import { LimitOrigin } from './limit.ts'
import { Meter, MeterOrigin } from './meter.ts'
import type { Origin } from './origin.ts'
import { RetryOrigin } from './retry.ts'

export interface OriginDependencies {
  readonly addon: ExtentFinder
  /** Counts requests, bytes and errors; a new one that nobody reads when absent. */
  readonly meter?: Meter
  /** Calls at once; originConcurrencyDefault when absent. */
  readonly concurrencyMax?: number
}

/** The schemes and what makes an Origin of each. */
const schemes: Readonly<
  Record<string, (url: string, dependencies: OriginDependencies, connectionsMax: number) => Origin>
> = {
  'file:': (url, { addon }) => new FileOrigin(url, addon),
  'http:': (url, _, connectionsMax) => new HttpOrigin(url, { connectionsMax }),
  'https:': (url, _, connectionsMax) => new HttpOrigin(url, { connectionsMax }),
}

/**
 * The origin behind `url`. Asks nobody anything yet: an origin that is away shows at its first call.
 * @throws CacheError invalid-argument
 */
export function openOrigin(url: string, dependencies: OriginDependencies): Origin {
  const scheme = URL.canParse(url) ? new URL(url).protocol : null
  const open = scheme === null ? undefined : schemes[scheme]
  if (open === undefined) {
    const known = Object.keys(schemes).map(name => `${name}//`)
    throw new CacheError(
      'invalid-argument',
      `${withoutCredentials(url)}: not an origin; it must begin with ${known.join(', ')}`,
    )
  }
  const { meter = new Meter(), concurrencyMax = originConcurrencyDefault } = dependencies
  const metered = new MeterOrigin(open(url, dependencies, concurrencyMax), meter)
  const limited = new LimitOrigin(new DeadlineOrigin(new RetryOrigin(metered), missSecondsMax * 1000), concurrencyMax)
  return new FairOrigin(limited, Math.max(1, Math.floor(concurrencyMax * imageShareMax)))
}
