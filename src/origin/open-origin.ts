/**
 * Opens the origin of a URL, ready for use: the only place that knows the schemes and the nesting of wrappers.
 *
 * From the inside out: the size limit refuses what is too large; the meter counts each request, refused ones too; a
 * hedge sends a second one beside a slow one; the breaker judges each try and holds it back while the origin is away;
 * retries repeat it; the deadline covers all tries together, because that is the time of a reader; the limit is
 * outermost, so that waiting for a slot takes nothing off the deadline, and names have slots of their own. Between the
 * two, reads wait for their rate, where one is set. A view stands in front of all of it: each of its requests is one.
 * Proofs stand in front of views: what is proven are the bytes that readers get.
 */

import { CacheError } from '../base/errors.ts'
import { missSecondsMax } from '../base/limits.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import type { CephAddon } from '../native/ceph-types.ts'
import type { FileReaders } from '../native/file-readers.ts'
import type { RangeReceiver } from '../native/range-receiver.ts'
import type { StreamDecoders } from '../native/stream-decoder.ts'
import type { Unpacker } from '../native/unpacker.ts'
import { cephPlaceOf, cephUrlOf, isCephUrl } from './ceph/ceph-url.ts'
import { type CephOriginOptions, cephOriginOf } from './ceph/open-ceph.ts'
import { profileSuffix } from './contract/image-name.ts'
import type { ReaderTable } from './contract/native-read-sources.ts'
import type { Origin } from './contract/origin.ts'
import type { ParentFinder } from './contract/parent-finder.ts'
import { withoutCredentials } from './contract/url-credentials.ts'
import { countNativeReads } from './count-native-reads.ts'
import { type ExtentFinder, FileOrigin } from './file/file-origin.ts'
import { identityOfDirectory } from './file/file-url.ts'
import { type GlanceOptions, GlanceOrigin, glanceOptionsDefault } from './glance/glance-origin.ts'
import { glancePlaceOf, glanceUrlOf, isGlanceUrl } from './glance/glance-url.ts'
import type { LocationRegistrar } from './glance/location-registrar.ts'
import { type HttpOptions, httpOptionsDefault } from './http/http-client.ts'
import { HttpOrigin } from './http/http-origin.ts'
import { originConcurrencyDefault } from './http/limits.ts'
import { baseOf } from './http/protocol/http-url.ts'
import { imageShareMax, originNamesMax } from './limits.ts'
import { LocatedOrigin } from './locations/located-origin.ts'
import { type LocationTeller, ToldLocations, type ToldLocationsContext } from './locations/vetted-locations.ts'
import { type NbdOptions, NbdOrigin } from './nbd/nbd-origin.ts'
import { isNbdUrl, nbdUrlOf, partsOfNbdUrl } from './nbd/nbd-url.ts'
import { type OciOptions, ociOptionsDefault } from './oci/oci-options.ts'
import { OciOrigin } from './oci/oci-origin.ts'
import { isOciUrl, ociPlaceOf, ociUrlOf } from './oci/oci-url.ts'
import { type S3Options, S3Origin } from './s3/s3-origin.ts'
import { isS3Url, s3PlaceOf, s3UrlOf } from './s3/s3-url.ts'
import type { OriginSeals } from './sealed/origin-seals.ts'
import type { OriginVerifyOptions } from './sealed/verify-options.ts'
import { type SwiftOptions, SwiftOrigin, swiftOptionsDefault } from './swift/swift-origin.ts'
import { isSwiftUrl, swiftPlaceOf, swiftUrlOf } from './swift/swift-url.ts'
import { RawViewOrigin } from './views/raw-view.ts'
import { UnpackedViewOrigin } from './views/unpacked-view.ts'
import { CircuitBreakerOrigin } from './wrappers/circuit-breaker.ts'
import { CircuitState } from './wrappers/circuit-state.ts'
import { ConcurrencyLimitOrigin } from './wrappers/concurrency-limit.ts'
import { DeadlineOrigin } from './wrappers/deadline.ts'
import { FairShareOrigin } from './wrappers/fair-share.ts'
import { HedgeOrigin, Hedges } from './wrappers/hedge.ts'
import { hedgeBurstMax, hedgeShareMax, nativeShareOf } from './wrappers/limits.ts'
import { Meter, MeterOrigin } from './wrappers/meter.ts'
import { NameFilterOrigin, type NamePatterns } from './wrappers/name-filter.ts'
import { type RetryOptions, RetryOrigin } from './wrappers/retry.ts'
import { SizeLimitOrigin } from './wrappers/size-limit.ts'
import { type ThrottleOptions, ThrottleOrigin } from './wrappers/throttle.ts'

export interface OriginDependencies {
  readonly addon: ExtentFinder
  /** Loads what a Ceph cluster is reached by, when there is one. @throws Error saying what is missing */
  readonly loadCeph?: () => CephAddon
  /** Counts requests, bytes and errors; a private one when absent. */
  readonly meter?: Meter
  /** Judges whether it is there; a private one when absent. */
  readonly availability?: CircuitState
  /** Counts second requests; likewise. */
  readonly hedges?: Hedges
  /** Takes the readers for native threads; there are none when absent. */
  readonly readers?: ReaderTable
  /** Takes what finds the parents of clones in a pool; of other origins it is not called. */
  readonly onParentFinder?: (finder: ParentFinder) => void
  /** Takes what adds locations at an image service; of other origins it is not called. */
  readonly onRegistrar?: (registrar: LocationRegistrar) => void
  /** Makes the readers of files. Needed with `readers`. */
  readonly createFileReaders?: () => FileReaders
  /** Receives bodies natively; undici does when absent. */
  readonly receiver?: RangeReceiver
  /** Unpacks the images of views. Needed with {@link OriginOptions.views}. */
  readonly unpacker?: Unpacker & StreamDecoders
  /** Further locations of its images; it closes them. None when absent. */
  readonly locations?: readonly Origin[]
  /** Opens locations that the service of the origin tells of, where it is one; those are not read when absent. */
  readonly told?: Pick<ToldLocationsContext, 'lookup' | 'open' | 'refusal'>
  /** Takes what shows and compares them. */
  readonly onLocated?: (located: LocatedOrigin) => void
  /** Hears of names that hide a view; nothing does when absent. */
  readonly logger?: Logger
  /** Proves images by their hash trees, where the options want it; nothing is proven when absent. */
  readonly seals?: OriginSeals
  /** Puts the origin behind other hosts that have its images; their bytes are compared with seals like its own. */
  readonly share?: (origin: Origin) => Origin
  /** Other than the defaults. */
  readonly options?: Partial<OriginOptions>
}

/** The use of an origin; every field has its default in limits.ts. */
export interface OriginOptions {
  /** Calls at once; to a web server, connections. */
  readonly concurrencyMax: number
  /** The share of them that reads of one image may take. */
  readonly imageShareMax: number
  /** The time that one call may take, all tries together. */
  readonly missMsMax: number
  readonly retry: Partial<RetryOptions>
  /** Reads and bytes a second. */
  readonly throttle: ThrottleOptions
  /** Other forms in which its images are shown. */
  readonly views: readonly OriginView[]
  /** Second requests for slow reads, as a share of all. Of a web server only. */
  readonly hedgeShareMax: number
  /** Names that are shown. */
  readonly names: Omit<NamePatterns, 'besideSuffixes'>
  /** Proofs of its images; null for none. */
  readonly verify: OriginVerifyOptions | null
  /** Of origins over HTTP only. */
  readonly http: Partial<HttpOptions>
  /** Of a Ceph cluster only. */
  readonly ceph: Partial<CephOriginOptions>
  /** Of OpenStack Swift only. */
  readonly swift: SwiftOptions
  /** Of an image service of OpenStack only. */
  readonly glance: GlanceOptions
  /** Stores behind it that are read without it. */
  readonly imageStores: readonly ImageStoreOptions[]
  /** Of an NBD server only. */
  readonly nbd: Partial<NbdSettings>
  /** Of a registry only. */
  readonly oci: Partial<OciOptions>
  /** Of a bucket of S3 only. */
  readonly s3: Partial<S3Options>
}

/** Views that there are: `raw` shows qcow2 and VMDK images as raw, `unpacked` files of gzip, xz and Zstandard. */
export const originViews = ['raw', 'unpacked'] as const
export type OriginView = (typeof originViews)[number]

/** A store behind an image service: see glance/image-stores.ts. */
export interface ImageStoreOptions {
  readonly location: string
  readonly url: string
  readonly options: Partial<OriginOptions>
}

type NbdSettings = Pick<NbdOptions, 'tls' | 'allowMutable' | 'digests'>

const originOptionsDefault: OriginOptions = {
  concurrencyMax: originConcurrencyDefault,
  imageShareMax,
  missMsMax: missSecondsMax * 1000,
  retry: {},
  throttle: { reads: { perSecond: 0, burst: 0 }, bytes: { perSecond: 0, burst: 0 } },
  views: [],
  hedgeShareMax,
  names: { include: null, exclude: [] },
  verify: null,
  http: {},
  ceph: {},
  swift: swiftOptionsDefault,
  glance: glanceOptionsDefault,
  imageStores: [],
  nbd: {},
  oci: {},
  s3: {},
}

/**
 * The identity of an origin's images: its URL, written in one way and without credentials.
 * @throws CacheError invalid-argument when it is not a URL that its scheme allows
 */
export function identityOf(url: string): string {
  if (isCephUrl(url)) return cephUrlOf(cephPlaceOf(url))
  if (isSwiftUrl(url)) return swiftUrlOf(swiftPlaceOf(url))
  if (isGlanceUrl(url)) return glanceUrlOf(glancePlaceOf(url))
  if (isOciUrl(url)) return ociUrlOf(ociPlaceOf(url))
  if (isNbdUrl(url)) return nbdUrlOf(partsOfNbdUrl(url).place)
  if (isS3Url(url)) return s3UrlOf(s3PlaceOf(url))
  return /^file:/i.test(url) ? identityOfDirectory(url) : baseOf(url).base.href
}

/** The schemes and what makes an Origin of each. */
const schemes: Readonly<Record<string, (url: string, parts: SchemeParts) => Origin>> = {
  'file:': openFile,
  'http:': openHttp,
  'https:': openHttp,
  'rbd:': openCeph,
  'rados:': openCeph,
  'swift:': openSwift,
  'glance:': openGlance,
  'nbd:': openNbd,
  'nbds:': openNbd,
  'nbd+unix:': openNbd,
  'nbds+unix:': openNbd,
  'oci:': openOci,
  's3:': openS3,
}

interface SchemeParts {
  readonly addon: ExtentFinder
  readonly loadCeph: () => CephAddon
  readonly meter: Meter
  readonly hedges: Hedges
  readonly readers: ReaderTable | null
  readonly createFileReaders: (() => FileReaders) | null
  readonly onParentFinder: (finder: ParentFinder) => void
  readonly onRegistrar: (registrar: LocationRegistrar) => void
  readonly onTeller: (teller: LocationTeller) => void
  readonly receiver: RangeReceiver | null
  readonly decoders: StreamDecoders | null
  readonly options: OriginOptions
}

/**
 * The origin behind `url`. It is not asked yet: an origin that is away shows at its first call.
 * @throws CacheError invalid-argument
 */
export function openOrigin(url: string, dependencies: OriginDependencies): Origin {
  const open = schemeOf(url)
  const { addon, loadCeph = noCeph, meter = new Meter(), hedges = new Hedges(), receiver = null } = dependencies
  const options = { ...originOptionsDefault, ...dependencies.options }
  const { concurrencyMax, missMsMax, retry } = options
  const { readers = null } = dependencies
  const grant = readers?.grant ?? null
  const { createFileReaders = null, onParentFinder = () => {}, onRegistrar = () => {} } = dependencies
  let teller: LocationTeller | null = null
  const onTeller = (found: LocationTeller) => {
    teller = found
  }
  const decoders = dependencies.unpacker ?? null
  const own = { createFileReaders, onParentFinder, onRegistrar, onTeller, receiver, decoders, options }
  const inner = open(url, { addon, loadCeph, meter, hedges, readers, ...own })
  const availability = dependencies.availability ?? new CircuitState(inner.url)
  const bounded = new DeadlineOrigin(new RetryOrigin(new CircuitBreakerOrigin(inner, availability), retry), missMsMax)
  const throttle = isThrottled(options) ? new ThrottleOrigin(bounded, options.throttle, undefined, grant) : null
  if (readers) countNativeReads(readers, { meter, availability, throttle, inner })
  const readsMax = Math.max(1, Math.floor(concurrencyMax * options.imageShareMax))
  const names = new ConcurrencyLimitOrigin(bounded, namesMaxOf(options))
  const limited = new ConcurrencyLimitOrigin(throttle ?? bounded, concurrencyMax, undefined, grant)
  const fair = new FairShareOrigin(limited, readsMax, names)
  const viewed = viewOf(locatedOf(fair, teller, dependencies), options, dependencies)
  const { seals, share } = dependencies
  const shared = share ? share(viewed) : viewed
  return shownOf(seals ? seals.around(shared, options.verify, readers) : shared, options)
}

/** @throws CacheError invalid-argument */
function schemeOf(url: string): (url: string, parts: SchemeParts) => Origin {
  const open = URL.canParse(url) ? schemes[new URL(url).protocol] : undefined
  if (open !== undefined) return open
  const known = Object.keys(schemes).map(name => `${name}//`)
  const place = withoutCredentials(url)
  throw new CacheError('invalid-argument', `${place}: not an origin; it must begin with ${known.join(', ')}`)
}

/** With its further locations, where it has any. */
function locatedOf(
  origin: Origin,
  teller: LocationTeller | null,
  { locations = [], told, onLocated, readers, logger = silentLogger }: OriginDependencies,
): Origin {
  const tells = teller && told ? new ToldLocations({ ...told, teller, now: () => performance.now() }) : null
  if (locations.length === 0 && !tells) return origin
  const located = new LocatedOrigin(origin, locations, { logger, readers: readers ?? null, told: tells })
  onLocated?.(located)
  return located
}

/** The names that views add can be hidden like all others. */
function shownOf(origin: Origin, { names }: OriginOptions): Origin {
  if (names.include === null && names.exclude.length === 0) return origin
  return new NameFilterOrigin(origin, { ...names, besideSuffixes: [profileSuffix] })
}

function viewOf(
  origin: Origin,
  { views }: OriginOptions,
  { unpacker, logger = silentLogger }: OriginDependencies,
): Origin {
  if (views.length === 0) return origin
  if (!unpacker) throw new Error('a view needs an unpacker')
  const raw = views.includes('raw') ? new RawViewOrigin(origin, { unpacker, logger }) : origin
  return new SizeLimitOrigin(views.includes('unpacked') ? new UnpackedViewOrigin(raw, unpacker) : raw)
}

function openFile(url: string, { addon, meter, readers, createFileReaders }: SchemeParts): Origin {
  const native = readers && createFileReaders ? { readers, createReaders: createFileReaders } : null
  return metered(new FileOrigin(url, addon, {}, native), meter)
}

function openHttp(url: string, parts: SchemeParts): Origin {
  return hedged(new HttpOrigin(url, httpOptionsOf(parts)), parts)
}

function openSwift(url: string, parts: SchemeParts): Origin {
  return hedged(new SwiftOrigin(url, parts.options.swift, httpOptionsOf(parts)), parts)
}

function openOci(url: string, parts: SchemeParts): Origin {
  return hedged(
    new OciOrigin(url, { ...ociOptionsDefault, decoders: parts.decoders, ...parts.options.oci }, httpOptionsOf(parts)),
    parts,
  )
}

function openGlance(url: string, parts: SchemeParts): Origin {
  const stores = parts.options.imageStores.map(store => ({
    location: store.location,
    origin: openStore(store, parts),
  }))
  const origin = new GlanceOrigin(url, { ...parts.options.glance, stores }, httpOptionsOf(parts))
  parts.onRegistrar(origin.registrar)
  parts.onTeller(origin)
  return hedged(origin, parts)
}

/**
 * A store behind an image service. Requests, tries and hedges are counted and bounded once, around the service; native
 * threads do not know the images under the names that the store gives them.
 */
function openStore({ url, options }: ImageStoreOptions, parts: SchemeParts): Origin {
  const { concurrencyMax, missMsMax } = parts.options
  const own = { ...originOptionsDefault, ...options, concurrencyMax, missMsMax, hedgeShareMax: 0 }
  const alone = { meter: new Meter(), hedges: new Hedges(), readers: null, createFileReaders: null }
  return schemeOf(url)(url, { ...parts, ...alone, options: own })
}

function openS3(url: string, parts: SchemeParts): Origin {
  return hedged(new S3Origin(url, parts.options.s3, httpOptionsOf(parts)), parts)
}

function hedged(origin: Origin, { meter, hedges, options }: SchemeParts): Origin {
  return new HedgeOrigin(metered(origin, meter), { hedges, shareMax: options.hedgeShareMax })
}

function httpOptionsOf({ readers, receiver, options }: SchemeParts): Partial<HttpOptions> {
  const http = { ...httpOptionsDefault, ...options.http }
  // A try that hangs must end before all of the time is over, or it would never be known that the origin is away.
  const tryMs = Math.ceil(options.missMsMax / 3)
  return {
    connectionsMax: options.concurrencyMax + namesMaxOf(options) + hedgeBurstMax,
    takesSequential: true,
    ...options.http,
    receiver,
    readers,
    nativeConnectionsMax: nativeShareOf(options.concurrencyMax),
    connectMsMax: Math.min(http.connectMsMax, tryMs),
    firstByteMsMax: Math.min(http.firstByteMsMax, tryMs),
    stallMsMax: Math.min(http.stallMsMax, tryMs),
  }
}

function openCeph(url: string, parts: SchemeParts): Origin {
  const { ceph, missMsMax } = parts.options
  return metered(cephOriginOf(url, { ...parts, ceph, missMsMax }), parts.meter)
}

function openNbd(url: string, { meter, options }: SchemeParts): Origin {
  // As with a web server: several tries in the time of a read.
  const callMsMax = Math.ceil(options.missMsMax / 3)
  return metered(new NbdOrigin(url, { ...options.nbd, concurrencyMax: options.concurrencyMax, callMsMax }), meter)
}

/** Refuses what is too large to be served, and counts it. */
function metered(origin: Origin, meter: Meter): Origin {
  return new MeterOrigin(new SizeLimitOrigin(origin), meter)
}

function noCeph(): CephAddon {
  throw new Error('nothing here loads what reaches a Ceph cluster')
}

/** Most are not, and one wrapper less is some microseconds less. */
function isThrottled({ throttle: { reads, bytes } }: OriginOptions): boolean {
  return reads.perSecond > 0 || bytes.perSecond > 0
}

/** Calls for names at once. */
function namesMaxOf({ concurrencyMax }: OriginOptions): number {
  return Math.min(originNamesMax, concurrencyMax)
}
