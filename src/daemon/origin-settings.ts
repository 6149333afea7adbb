/**
 * What can be set of an origin: a schema a kind. Another kind of origin is another schema in {@link originKinds}, and what
 * opens it in src/origin/open.ts.
 *
 * The kind need not be written where the URL's scheme tells it.
 */
import { z } from 'zod'
import { messageOf } from '../errors.ts'
import {
  connectMsMax,
  firstByteMsMax,
  imageShareMax,
  listingBytesMax,
  missSecondsMax,
  originConcurrencyDefault,
  originTriesMax,
  retryMsMax,
  retryMsMin,
  revalidateSecondsDefault,
  stallMsMax,
} from '../limits.ts'
import { withoutCredentials } from '../origin/http-url.ts'
import { identityOf, type OriginOptions } from '../origin/open.ts'
import { count, duration, setting, share, shown, size } from './setting-fields.ts'

const [KiB, GiB] = [1024, 1024 ** 3]
const [second, hour, day] = [1000, 3_600_000, 86_400_000]

/** What every origin has. */
const common = {
  url: setting(z.string(), {
    kind: 'text',
    range: 'file:///dir, http://host/dir/, https://host/dir/',
    live: false,
    what: 'where the images are; the identity of what is cached of them',
    unset: 'required',
  }),
  requests: count({ min: 1, max: 1024 }, originConcurrencyDefault, {
    live: true,
    what: 'requests at once, and for http(s) connections to a host',
  }),
  imageShare: share({ min: 0.01, max: 1 }, imageShareMax, {
    live: true,
    what: 'the share of them that reads of one image may take',
  }),
  missTimeout: duration({ min: second, max: day }, missSecondsMax * second, {
    live: true,
    what: 'how long a read that the cache cannot answer takes at most, retries included',
  }),
  tries: count({ min: 1, max: 100 }, originTriesMax, { live: true, what: 'tries of one request' }),
  retryPause: duration({ min: 1, max: hour }, retryMsMin, {
    live: true,
    what: 'the longest first pause between tries; it doubles',
  }),
  retryPauseMax: duration({ min: 1, max: hour }, retryMsMax, { live: true, what: 'the longest pause between tries' }),
  revalidate: duration({ min: 0, max: 365 * day }, revalidateSecondsDefault * second, {
    live: true,
    what: 'how long names and versions are taken as fresh',
  }),
}

const file = z.strictObject({ kind: z.literal('file'), ...common })

const http = z.strictObject({
  kind: z.literal('http'),
  ...common,
  connectTimeout: duration({ min: 1, max: hour }, connectMsMax, {
    live: true,
    what: 'how long a connection may take, TLS included',
  }),
  answerTimeout: duration({ min: 1, max: hour }, firstByteMsMax, {
    live: true,
    what: 'how long the server may take to begin an answer',
  }),
  stallTimeout: duration({ min: 1, max: hour }, stallMsMax, {
    live: true,
    what: 'how long an answer may pause',
  }),
  listingSize: size({ min: KiB, max: GiB }, listingBytesMax, { live: true, what: 'longest listing that is read' }),
})

/** The kinds there are, and the schemes of URLs that tell them. */
export const originKinds = { file, http } as const
const kindOfScheme: Readonly<Record<string, string>> = { 'file:': 'file', 'http:': 'http', 'https:': 'http' }

/** The settings of one origin, judged. */
export type OriginSettings = z.output<typeof originSchema>

export const originSchema = z
  .unknown()
  .transform((input, ctx) => {
    const problem = problemOf(input)
    if (problem === null) {
      const { url, kind } = input as { url: string; kind?: unknown }
      return { kind: kind ?? kindOfScheme[new URL(url).protocol], ...(input as object) }
    }
    ctx.addIssue({ code: 'custom', ...problem })
    return z.NEVER
  })
  .pipe(
    z.discriminatedUnion('kind', [file, http], { error: () => `the kinds are ${Object.keys(originKinds).join(', ')}` }),
  )
  .refine(({ retryPause, retryPauseMax }) => retryPause <= retryPauseMax, {
    path: ['retryPause'],
    error: ({ input }) => `${(input as { retryPause: number }).retryPause}ms is longer than retryPauseMax: give less`,
  })

/** The same, as src/origin/open.ts wants it. */
export function originOptionsOf(settings: OriginSettings): OriginOptions {
  const { requests, imageShare, missTimeout, tries, retryPause, retryPauseMax } = settings
  return {
    concurrencyMax: requests,
    imageShareMax: imageShare,
    missMsMax: missTimeout,
    retry: { triesMax: tries, msMin: retryPause, msMax: retryPauseMax },
    http: settings.kind === 'http' ? httpOptionsOf(settings) : {},
  }
}

function httpOptionsOf(settings: Extract<OriginSettings, { kind: 'http' }>): OriginOptions['http'] {
  const { connectTimeout, answerTimeout, stallTimeout, listingSize } = settings
  return {
    connectMsMax: connectTimeout,
    firstByteMsMax: answerTimeout,
    stallMsMax: stallTimeout,
    listingBytesMax: listingSize,
  }
}

interface Problem {
  readonly path: string[]
  readonly message: string
  /** The complaint is about what is not there. */
  readonly params?: { readonly lacking: true }
}

/** What is wrong with an origin whatever its kind is; null: nothing. */
function problemOf(input: unknown): Problem | null {
  const known = Object.keys(kindOfScheme).map(scheme => `${scheme}//`)
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { path: [], message: `${shown(input)} is not an origin: write it as "url: https://host/images/"` }
  }
  const { url, kind } = input as { url?: unknown; kind?: unknown }
  if (url === undefined || url === null)
    return { path: [], message: 'the origin has no url: write "url: https://host/images/"', params: { lacking: true } }
  const text = typeof url === 'string' ? withoutCredentials(url) : shown(url)
  if (typeof url !== 'string' || !URL.canParse(url)) {
    return { path: ['url'], message: `origin "${text}" is not a URL: write it like https://host/images/` }
  }
  if (kind === undefined && kindOfScheme[new URL(url).protocol] === undefined) {
    return { path: ['url'], message: `${text}: not an origin; it must begin with ${known.join(', ')}` }
  }
  try {
    identityOf(url)
    return null
  } catch (error) {
    return { path: ['url'], message: messageOf(error) }
  }
}
