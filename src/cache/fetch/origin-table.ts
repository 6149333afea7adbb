/**
 * Origin table: the origins whose images the cache shows, by directory and by image, with their time-outs and
 * freshness. Origins can come and go while the cache is open. One that is leaving is not shown any more, and serves the
 * files of it that are open.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { OriginReader } from '../../native/origin-reader.ts'
import type { NativeRange } from '../../origin/contract/native-read-sources.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { ComparedLocation, ComparisonOptions } from '../../origin/locations/compare-locations.ts'
import type { ImageLocation } from '../../origin/locations/image-location.ts'
import type { OriginSeals } from '../../origin/sealed/origin-seals.ts'
import type { SequentialOrigin } from '../../origin/sequential/sequential-origin.ts'
import type { CacheMode } from '../modes/cache-mode.ts'
import type { ConfiguredModes } from '../modes/mode-table.ts'
import { type ReadAroundLimits, readAroundChoices, readAroundDefault } from './limits.ts'
import { MissTimeout, type MissTimeoutOptions } from './miss-timeout.ts'
import { PathEstimator } from './path-estimator.ts'

/** Reads that session threads ask an origin for by themselves. */
export interface NativeOriginReads {
  /**
   * Has `use` called with the reader of an open image, now if there is one, and at each change; null: none any more.
   */
  follow(image: Image, use: (reader: OriginReader | null) => void): void
  /** Ends that, if it was begun: a reader that was given is taken back. */
  unfollow(imageId: string): void
  /** One was answered. */
  count(image: Image, range: NativeRange, ms: number): void
}

/** One origin, and the directory that shows its images; null is the root. */
export interface MountedOrigin {
  readonly directory: string | null
  readonly origin: Origin
  /** Other than the one of all. */
  readonly revalidateSeconds?: number
  /** The time that its readers wait for it; as long as their signals let them when absent. */
  readonly patience?: MissTimeoutOptions
  /** Turns that reading ahead may take; some when absent, none where demand has only one itself. */
  readonly prefetchRequestsMax?: number
  /** The bytes around misses that it may bring in vain; those of the default when absent. */
  readonly readAround?: ReadAroundLimits
  /** Its hit sets, and the number of the newest ones of which one has to have an object that is promoted; 0: any. */
  readonly hitSet?: {
    readonly type: 'bloom' | 'explicit' | 'none'
    readonly count: number
    readonly periodMs: number
    readonly falsePositives: number
  }
  readonly minReadRecency?: number
  /** Boot profiles that lie beside its images are used. Not when absent. */
  readonly hasProfiles?: boolean
  /** The mode of its images that the configuration says; null or absent: that of the mount. */
  readonly mode?: CacheMode | null
  /** Passes over its sequential images. None when absent. */
  readonly passes?: Pick<SequentialOrigin, 'landWith' | 'isSequential' | 'positionOf'>
  /** Proofs of its images by their hash trees. None when absent. */
  readonly seals?: OriginSeals
  /** Shows and compares the places of its images; none when absent. */
  readonly places?: PlacesOfImages
  /** The readers that session threads may use, and what counts their reads. None when absent. */
  readonly direct?: NativeOriginReads
}

/** The places of the images of one origin, for operators. */
export interface PlacesOfImages {
  /** The origin itself first. Never rejects for a place that does not answer. */
  locationsOf(image: Image, signal: CancelSignal): Promise<ImageLocation[]>
  /** @throws CacheError aborted, and origin-* of the origin itself */
  compareAll(image: Image, options: ComparisonOptions): Promise<ComparedLocation[]>
}

/** Turns for reading ahead where nothing is said. */
const prefetchRequestsDefault = 8

const noHitSets = { type: 'none', count: 1, periodMs: 3_600_000, falsePositives: 0.01 } as const

export class OriginTable {
  /** One array for as long as the cache is open: its holders see those that come. */
  readonly all: readonly MountedOrigin[]
  readonly #all: MountedOrigin[]
  /** URLs of those that are leaving. */
  readonly leaving = new Set<string>()
  readonly #revalidateSeconds: number
  readonly #now: () => number
  /** By URL. */
  readonly #links = new Map<string, PathEstimator>()

  /** @param now milliseconds, never going back */
  constructor(origins: readonly MountedOrigin[], revalidateSeconds: number, now: () => number) {
    this.#now = now
    this.#all = [...origins]
    this.all = this.#all
    this.#revalidateSeconds = revalidateSeconds
  }

  get directories(): readonly string[] | null {
    const directories = this.shown.flatMap(({ directory }) => directory ?? [])
    return directories.length === 0 ? null : directories
  }

  /** Those that are not leaving. */
  get shown(): readonly MountedOrigin[] {
    return this.leaving.size === 0 ? this.#all : this.#all.filter(({ origin }) => !this.leaving.has(origin.url))
  }

  /**
   * Other settings, and origins that came or went.
   * @returns those that came, and those that went
   */
  change(origins: readonly MountedOrigin[]): Record<'came' | 'went', readonly MountedOrigin[]> {
    const before = [...this.#all]
    const without = (all: readonly MountedOrigin[], others: readonly MountedOrigin[]) =>
      all.filter(each => !others.some(other => other.origin.url === each.origin.url))
    this.#all.splice(0, before.length, ...origins)
    const went = without(before, origins)
    for (const { origin } of went) this.#links.delete(origin.url)
    return { came: without(origins, before), went }
  }

  /** @throws CacheError not-found */
  in(directory: string | null): Origin {
    const mounted = this.shown.find(candidate => candidate.directory === directory)
    if (!mounted) throw new CacheError('not-found', `there is no directory ${directory}`)
    return mounted.origin
  }

  /** @throws CacheError not-found */
  of(image: Image): MountedOrigin {
    const mounted = this.#mounted(image.origin)
    if (mounted) return mounted
    throw new CacheError('not-found', `${image.key}: its origin ${image.origin} is not mounted`)
  }

  /**
   * The miss time-out of a reader that begins to wait now.
   * @throws CacheError not-found
   */
  missTimeoutFor(image: Image): MissTimeout | null {
    const { patience } = this.of(image)
    return patience ? new MissTimeout(patience) : null
  }

  /** Reads of an image by session threads; null where there are none. */
  nativeReadsOf(image: Image): NativeOriginReads | null {
    return this.#mounted(image.origin)?.direct ?? null
  }

  /** Their settings of hit sets; none are kept where nothing is said. */
  get hitSets() {
    return this.#all.map(({ origin: { url }, hitSet = noHitSets, minReadRecency = 0 }) => {
      return { url, hitSet, minReadRecency }
    })
  }

  /** The path to the origin of an image. */
  pathOf({ origin }: Image): PathEstimator {
    const known = this.#links.get(origin)
    if (known) return known
    const link = new PathEstimator(this.#now)
    this.#links.set(origin, link)
    return link
  }

  /** Is it had from the front alone? */
  isSequential(image: Image): boolean {
    return this.#mounted(image.origin)?.passes?.isSequential(image) ?? false
  }

  /**
   * Turns that reading ahead may take; none while the origin is not well, and for sequential images, which their passes
   * bring.
   */
  prefetchRequestsMax(image: Image): number {
    const mounted = this.#mounted(image.origin)
    if (mounted?.passes?.isSequential(image)) return 0
    const state = mounted?.patience?.availability.state ?? 'available'
    return mounted && state === 'available' ? (mounted.prefetchRequestsMax ?? prefetchRequestsDefault) : 0
  }

  /** The bytes around misses of an image that may be fetched in vain. */
  readAroundOf(image: Image): ReadAroundLimits {
    return this.#mounted(image.origin)?.readAround ?? readAroundChoices[readAroundDefault]
  }

  /** The modes that the configuration says. @param mount that of all others */
  configuredModes(mount: CacheMode): ConfiguredModes {
    return { mount, origins: new Map(this.#all.map(({ origin, mode }) => [origin.url, mode ?? null])) }
  }

  /** The directory that shows an image; null is the root, and where its origin is not mounted. */
  directoryOf(image: Image): string | null {
    return this.#mounted(image.origin)?.directory ?? null
  }

  /** The time for which an origin's answer about names counts as fresh. */
  freshMs({ url }: Pick<Origin, 'url'>): number {
    const mounted = this.#mounted(url)
    return (mounted?.revalidateSeconds ?? this.#revalidateSeconds) * 1000
  }

  /** A loop without a closure: every miss asks several times. */
  #mounted(url: string): MountedOrigin | undefined {
    for (const mounted of this.#all) if (mounted.origin.url === url) return mounted
    return undefined
  }
}
