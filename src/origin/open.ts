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
import { type ExtentFinder, FileOrigin, identityOfDirectory } from './file.ts'
import { HttpOrigin } from './http.ts'
import type { HttpOptions } from './http-client.ts'
import { baseOf, withoutCredentials } from './http-url.ts'
import { LimitOrigin } from './limit.ts'
import { Meter, MeterOrigin } from './meter.ts'
import type { Origin } from './origin.ts'
import { type RetryOptions, RetryOrigin } from './retry.ts'

export interface OriginDependencies {
  readonly addon: ExtentFinder
  /** Counts requests, bytes and errors; a new one that nobody reads when absent. */
  readonly meter?: Meter
  /** Other than the defaults. */
  readonly options?: Partial<OriginOptions>
}

/** How an origin is used; every field has its default in limits.ts. */
export interface OriginOptions {
  /** Calls at once; to a web server, connections. */
  readonly concurrencyMax: number
  /** The share of them that reads of one image may take. */
  readonly imageShareMax: number
  /** How long one call may take, all tries together. */
  readonly missMsMax: number
  readonly retry: Partial<RetryOptions>
  /** Of a web server only. */
  readonly http: Partial<HttpOptions>
}

const originOptionsDefault: OriginOptions = {
  concurrencyMax: originConcurrencyDefault,
  imageShareMax,
  missMsMax: missSecondsMax * 1000,
  retry: {},
  http: {},
}

/**
 * What the images of an origin are known by: its URL, written in one way and without credentials.
 * @throws CacheError invalid-argument when it is not a URL that its scheme allows
 */
export function identityOf(url: string): string {
  return /^file:/i.test(url) ? identityOfDirectory(url) : baseOf(url).base.href
}

/** The schemes and what makes an Origin of each. */
const schemes: Readonly<Record<string, (url: string, addon: ExtentFinder, options: OriginOptions) => Origin>> = {
  'file:': (url, addon) => new FileOrigin(url, addon),
  'http:': openHttp,
  'https:': openHttp,
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
  const { meter = new Meter(), addon } = dependencies
  const options = { ...originOptionsDefault, ...dependencies.options }
  const { concurrencyMax, missMsMax, retry } = options
  const retried = new RetryOrigin(new MeterOrigin(open(url, addon, options), meter), retry)
  const limited = new LimitOrigin(new DeadlineOrigin(retried, missMsMax), concurrencyMax)
  return new FairOrigin(limited, Math.max(1, Math.floor(concurrencyMax * options.imageShareMax)))
}

function openHttp(url: string, _addon: ExtentFinder, { concurrencyMax, http }: OriginOptions): Origin {
  return new HttpOrigin(url, { connectionsMax: concurrencyMax, ...http })
}
