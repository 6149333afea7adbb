/**
 * Settings of an origin: one schema for each kind. A new kind of origin is one more schema in {@link originKinds}, and
 * its opening in src/origin/open-origin.ts.
 *
 * The kind may be left out where the URL's scheme tells it.
 */
import { z } from 'zod'
import { messageOf } from '../../base/errors.ts'
import { missSecondsMax } from '../../base/limits.ts'
import type { Logger } from '../../base/logger.ts'
import { cacheModes } from '../../cache/modes/cache-mode.ts'
import { cephUrlWith, isCephUrl } from '../../origin/ceph/ceph-url.ts'
import { withoutCredentials } from '../../origin/contract/url-credentials.ts'
import { glanceOptionsDefault } from '../../origin/glance/glance-origin.ts'
import { originConcurrencyDefault } from '../../origin/http/limits.ts'
import { imageShareMax } from '../../origin/limits.ts'
import { isNbdUrl } from '../../origin/nbd/nbd-url.ts'
import { type ImageStoreOptions, identityOf, type OriginOptions, originViews } from '../../origin/open-origin.ts'
import { isS3Url, s3UrlWith } from '../../origin/s3/s3-url.ts'
import { swiftOptionsDefault } from '../../origin/swift/swift-origin.ts'
import { isSwiftUrl, swiftUrlWith } from '../../origin/swift/swift-url.ts'
import { originTriesMax, retryMsMax, retryMsMin } from '../../origin/wrappers/limits.ts'
import { matcherOf } from '../../origin/wrappers/name-filter.ts'
import { cephOptionsOf, radosFields, rbdFields } from './ceph-settings.ts'
import { hitSetFields } from './hit-set-settings.ts'
import { httpOptionsOf, proxyComplaint, webFields, webServerComplaints, webServerFields } from './http-settings.ts'
import { imageStoresField, type JudgedStore } from './image-store-settings.ts'
import { locationsMax, patternLengthMax, patternsMax, revalidateSecondsDefault } from './limits.ts'
import { nbdFields, nbdOptionsOf, withNbdUrl } from './nbd-settings.ts'
import { ociFields, ociOptionsOf } from './oci-settings.ts'
import { cloudOf, glanceFields, glanceOptionsOf, swiftFields, swiftOptionsOf } from './openstack-settings.ts'
import { s3Complaint, s3Fields, s3OptionsOf } from './s3-settings.ts'
import {
  booleanField,
  choiceField,
  choicesField,
  countField,
  durationField,
  optionalChoiceField,
  setting,
  shareField,
  shown,
} from './setting-fields.ts'
import { outageChoices, readAroundWords } from './settings.ts'
import { throttleFields, throttleOptionsOf } from './throttle-settings.ts'
import { verifyFields, verifyOptionsOf } from './verify-settings.ts'

const [second, hour, day] = [1000, 3_600_000, 86_400_000]

/** Settings of every origin. */
const common = {
  url: setting(z.string(), {
    kind: 'text',
    range:
      'file:///dir, http://host/dir/, https://host/dir/, rbd://pool/, rados://pool/prefix, swift://container/prefix/, glance://host/, s3://bucket/prefix/, nbd://host/, nbds://host/, nbd+unix:///?socket=/path, oci://registry/repository:tag',
    live: false,
    what: 'location of the images; cached blocks belong to this URL',
    unset: 'required',
  }),
  requests: countField({ min: 1, max: 1024 }, originConcurrencyDefault, {
    live: true,
    what: 'concurrent requests to the origin; a web server may see three times as many connections, idle ones included',
  }),
  imageShare: shareField({ min: 0.01, max: 1 }, imageShareMax, {
    live: true,
    what: 'share of `requests` that the reads of one image may take',
  }),
  missTimeout: durationField({ min: second, max: day }, missSecondsMax * second, {
    live: true,
    what: 'time-out of a read that needs the origin, retries included',
  }),
  onOutage: choiceField('onOutage', outageChoices, 'fail', {
    live: true,
    what: 'outcome of a read that reaches missTimeout while the origin is away: fail with EIO, or wait until the origin is back',
  }),
  tries: countField({ min: 1, max: 100 }, originTriesMax, {
    live: true,
    what: 'attempts of one request for names; reads are repeated until missTimeout',
  }),
  retryPause: durationField({ min: 1, max: hour }, retryMsMin, {
    live: true,
    what: 'longest pause before the second attempt; it doubles with each further one',
  }),
  retryPauseMax: durationField({ min: 1, max: hour }, retryMsMax, {
    live: true,
    what: 'longest pause between any two attempts',
  }),
  revalidate: durationField({ min: 0, max: 365 * day }, revalidateSecondsDefault * second, {
    live: true,
    what: 'time for which names and versions count as fresh',
  }),
  locations: setting(
    z
      .array(z.unknown(), { error: ({ input }) => `${shown(input)} is not a list: write [URL, ...]` })
      .max(locationsMax, { error: `at most ${locationsMax} go together` })
      .optional(),
    {
      kind: 'text',
      range: '[URL or settings of an `origin`, ...]',
      live: true,
      what: 'further locations of the same images; the one that is expected to answer first is read, and those that differ from this origin are not (docs/FLEET.md); a URL alone has the other settings of this origin',
      unset: 'none',
    },
  ),
  readAround: optionalChoiceField('readAround', readAroundWords, {
    live: true,
    what: 'the same as cache.readAround for the images of this origin: the share of bytes fetched around misses that may go unread',
    unset: 'cache.readAround',
  }),
  mode: optionalChoiceField('mode', cacheModes, {
    live: true,
    what: 'the same as cache.mode for the images of this origin: promote, proxy, forward or none',
    unset: 'cache.mode',
  }),
  include: patternsField({
    live: true,
    what: 'names that are shown, as globs over the whole name; `*` stops at a slash, `**` does not',
    unset: 'all',
  }),
  exclude: patternsField({ live: true, what: 'names that are not shown, as `include`', unset: 'none' }),
  views: choicesField('views', originViews, {
    live: true,
    what: 'raw: each NAME.qcow2 and NAME.vmdk is shown as NAME.raw, too, with the bytes of its disk; unpacked: each NAME.gz, NAME.xz and NAME.zst is shown as NAME, too (docs/ORIGINS.md)',
    unset: 'none',
  }),
  ...hitSetFields,
  ...verifyFields,
  ...throttleFields,
}

function patternsField(described: { readonly live: boolean; readonly what: string; readonly unset: string }) {
  const pattern = z.string({ error: 'a pattern is a text' }).refine(isPattern, {
    error: ({ input }) => `${shown(input)} is not a pattern: write it like "**/*.qcow2"`,
  })
  const schema = z.array(pattern, { error: ({ input }) => `${shown(input)} is not a list: write ["*.qcow2"]` })
  return setting(schema.max(patternsMax).optional(), { kind: 'text', range: '[PATTERN, ...]', ...described })
}

function isPattern(text: string): boolean {
  try {
    return text !== '' && text.length <= patternLengthMax && matcherOf([text]) !== null
  } catch {
    return false
  }
}

/** Settings of origins whose images can have files beside them. */
const besideImages = {
  profiles: booleanField({
    live: true,
    what: 'boot profiles that lie beside images, as NAME.parentfs-profile, are used (docs/PROFILES.md)',
    unset: 'true',
  }),
}

const file = z.strictObject({ kind: z.literal('file'), ...common, ...besideImages })

const http = z.strictObject({ kind: z.literal('http'), ...common, ...besideImages, ...webFields, ...webServerFields })

const rbd = z.strictObject({ kind: z.literal('rbd'), ...common, ...rbdFields })

const swift = z.strictObject({ kind: z.literal('swift'), ...common, ...besideImages, ...webFields, ...swiftFields })

const glance = z.strictObject({
  kind: z.literal('glance'),
  ...common,
  ...webFields,
  ...glanceFields,
  stores: imageStoresField(judgeStore),
})

const s3 = z.strictObject({ kind: z.literal('s3'), ...common, ...besideImages, ...webFields, ...s3Fields })

const rados = z.strictObject({ kind: z.literal('rados'), ...common, ...besideImages, ...radosFields })

const nbd = z.strictObject({ kind: z.literal('nbd'), ...common, ...nbdFields, allowMutable: rbdFields.allowMutable })

const oci = z.strictObject({ kind: z.literal('oci'), ...common, ...webFields, basic: http.shape.basic, ...ociFields })

/** Judges the origin of such a store, by the schema below. */
function judgeStore(input: unknown): JudgedStore {
  return originSchema.safeParse(input)
}

/** The kinds there are, and the schemes of URLs that tell them. */
export const originKinds = { file, http, rbd, rados, swift, glance, nbd, oci, s3 } as const
const kindOfScheme: Readonly<Record<string, string>> = {
  'file:': 'file',
  'http:': 'http',
  'https:': 'http',
  'rbd:': 'rbd',
  'rados:': 'rados',
  'swift:': 'swift',
  'glance:': 'glance',
  'nbd:': 'nbd',
  'nbds:': 'nbd',
  'nbd+unix:': 'nbd',
  'nbds+unix:': 'nbd',
  'oci:': 'oci',
  's3:': 's3',
}

/** The settings of one origin, judged. */
export type OriginSettings = z.output<typeof originSchema>

export const originSchema = z
  .unknown()
  .transform((input, ctx) => {
    const problem = problemOf(input)
    if (problem === null) {
      const { url, kind } = input as { url: string; kind?: unknown }
      const whole = { kind: kind ?? kindOfScheme[new URL(url).protocol], ...(input as object) }
      return isNbdUrl(url) ? withNbdUrl(url, whole) : { ...whole, url: urlWith(url, input as object) }
    }
    ctx.addIssue({ code: 'custom', ...problem })
    return z.NEVER
  })
  .pipe(
    z.discriminatedUnion('kind', [file, http, rbd, rados, swift, glance, nbd, oci, s3], {
      error: () => `the kinds are ${Object.keys(originKinds).join(', ')}`,
    }),
  )
  .superRefine((origin, ctx) => {
    const complain = (path: string[], message: string) => ctx.addIssue({ code: 'custom', path, message })
    const { retryPause, retryPauseMax } = origin
    if (retryPause > retryPauseMax) complain(['retryPause'], `${retryPause}ms is longer than retryPauseMax: give less`)
    for (const { path, message } of locationComplaints(origin)) complain(path, message)
    if (origin.kind === 'nbd' && origin.tlsPskFile !== null && origin.tlsPskKey !== undefined)
      complain(['tlsPskKey'], 'tlsPskFile and tlsPskKey do not go together: give one of them')
    const proxyWrong = 'hedgeShare' in origin ? proxyComplaint(origin) : null
    if (proxyWrong !== null) complain(['proxyBasic'], proxyWrong)
    const s3Wrong = origin.kind === 's3' ? s3Complaint(origin) : null
    if (s3Wrong !== null) complain([s3Wrong.at], s3Wrong.message)
    if (origin.kind === 'http') for (const { path, message } of webServerComplaints(origin)) complain(path, message)
  })

/** The settings of the further locations of an origin; a URL alone has those of the origin itself. */
export function locationSettingsOf(settings: OriginSettings): OriginSettings[] {
  return (settings.locations ?? []).map(input => {
    const own = { ...settings, locations: undefined, views: null }
    return isOfKind(input, settings.kind) ? { ...own, url: input } : originSchema.parse(asSettings(input))
  })
}

/** The complaints about locations of an origin. */
function locationComplaints({ kind, locations }: { readonly kind: string; readonly locations?: unknown }): Complaint[] {
  return ((locations as readonly unknown[] | undefined) ?? []).flatMap((input, at): Complaint[] => {
    const path = ['locations', String(at)]
    if ((input as { locations?: unknown } | null)?.locations !== undefined)
      return [{ path, message: 'a location has no locations of its own: leave them out' }]
    const issue = isOfKind(input, kind) ? undefined : originSchema.safeParse(asSettings(input)).error?.issues[0]
    return issue ? [{ path: [...path, ...issue.path.map(String)], message: issue.message }] : []
  })
}

interface Complaint {
  readonly path: string[]
  readonly message: string
}

function asSettings(input: unknown): unknown {
  return typeof input === 'string' ? { url: input } : input
}

/** A URL of the same kind of origin. */
function isOfKind(input: unknown, kind: string): input is string {
  return typeof input === 'string' && URL.canParse(input) && kindOfScheme[new URL(input).protocol] === kind
}

/**
 * The same, as src/origin/open-origin.ts wants it.
 * @throws CacheError invalid-argument when a file that it names cannot be read
 */
export function originOptionsOf(settings: OriginSettings, logger: Logger): OriginOptions {
  const { requests, imageShare, missTimeout, tries, retryPause, retryPauseMax, views } = settings
  const cloud = settings.kind === 'swift' || settings.kind === 'glance' ? cloudOf(settings) : null
  const http = 'hedgeShare' in settings && cloud?.ca && settings.ca === null ? { ...settings, ca: cloud.ca } : settings
  return {
    concurrencyMax: requests,
    imageShareMax: imageShare,
    missMsMax: missTimeout,
    retry: { triesMax: tries, msMin: retryPause, msMax: retryPauseMax },
    throttle: throttleOptionsOf(settings),
    views: views ?? [],
    verify: verifyOptionsOf(settings.verify),
    hedgeShareMax: 'hedgeShare' in settings ? settings.hedgeShare : 0,
    http: 'hedgeShare' in http ? httpOptionsOf(http, logger) : {},
    names: { include: settings.include ?? null, exclude: settings.exclude ?? [] },
    ceph: settings.kind === 'rbd' || settings.kind === 'rados' ? cephOptionsOf(settings) : {},
    swift: settings.kind === 'swift' ? swiftOptionsOf(settings, cloud, logger) : swiftOptionsDefault,
    glance: settings.kind === 'glance' ? glanceOptionsOf(settings, cloud, logger) : glanceOptionsDefault,
    imageStores: settings.kind === 'glance' ? imageStoresOf(settings, logger) : [],
    nbd: settings.kind === 'nbd' ? nbdOptionsOf(settings, logger) : {},
    oci: settings.kind === 'oci' ? ociOptionsOf(settings, logger) : {},
    s3: settings.kind === 's3' ? s3OptionsOf(settings, logger) : {},
  }
}

/** The stores behind an image service, judged when the configuration was. */
function imageStoresOf({ stores = [] }: z.output<typeof glance>, logger: Logger): ImageStoreOptions[] {
  return stores.flatMap(input => {
    const { location, origin } = input as { location: string; origin: unknown }
    const settings = originSchema.parse(origin)
    return { location, url: settings.url, options: originOptionsOf(settings, logger) }
  })
}

interface Problem {
  readonly path: string[]
  readonly message: string
  /** The complaint is about what is not there. */
  readonly params?: { readonly lacking: true }
}

/** The complaint about an origin of any kind; null: none. */
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
    const like = text.startsWith('/') ? `file://${text}` : 'https://host/images/'
    return { path: ['url'], message: `origin "${text}" is not a URL: write it like ${like}` }
  }
  if (kind === undefined && kindOfScheme[new URL(url).protocol] === undefined) {
    return { path: ['url'], message: `${text}: not an origin; it must begin with ${known.join(', ')}` }
  }
  const { username, password } = new URL(url)
  // The user of a pre-shared key is no secret.
  if (!isNbdUrl(url) && (username !== '' || password !== '')) {
    const advice = 'write basic: {username: NAME, password: SECRET} in a configuration file'
    return { path: ['url'], message: `${text}: has credentials in it, which others would see: ${advice}` }
  }
  try {
    if (isNbdUrl(url)) withNbdUrl(url, input)
    else identityOf(urlWith(url, input))
    return null
  } catch (error) {
    return { path: ['url'], message: messageOf(error) }
  }
}

/** The URL with what the settings say of the place. @throws CacheError invalid-argument */
function urlWith(url: string, settings: object): string {
  if (isCephUrl(url)) return cephUrlWith(url, settings)
  if (isS3Url(url)) return s3UrlWith(url, settings)
  return isSwiftUrl(url) ? swiftUrlWith(url, { ...settings }) : url
}
