/**
 * The origins whose images the cache shows, by directory, by image, and by what they are taken as fresh for. Origins can come
 * while the cache is open; none goes.
 */
import { CacheError } from '../errors.ts'
import type { Image } from '../image.ts'
import type { Origin } from '../origin/origin.ts'
import { Patience, type PatienceOptions } from './patience.ts'

/** One origin, and the directory that shows its images; null is the root. */
export interface MountedOrigin {
  readonly directory: string | null
  readonly origin: Origin
  /** Other than the one of all. */
  readonly revalidateSeconds?: number
  /** How long its readers wait for it; for as long as their signals let them when absent. */
  readonly patience?: PatienceOptions
}

export class MountedOrigins {
  /** One array for as long as the cache is open: who holds it sees those that come. */
  readonly all: readonly MountedOrigin[]
  readonly #all: MountedOrigin[]
  readonly #revalidateSeconds: number

  constructor(origins: readonly MountedOrigin[], revalidateSeconds: number) {
    this.#all = [...origins]
    this.all = this.#all
    this.#revalidateSeconds = revalidateSeconds
  }

  get directories(): readonly string[] | null {
    const directories = this.#all.flatMap(({ directory }) => directory ?? [])
    return directories.length === 0 ? null : directories
  }

  /**
   * Other settings, and origins that came.
   * @param origins those of before in their order, and then the new ones
   * @returns the new ones
   */
  change(origins: readonly MountedOrigin[]): readonly MountedOrigin[] {
    const before = this.#all.length
    this.#all.splice(0, before, ...origins)
    return this.#all.slice(before)
  }

  /** @throws CacheError not-found */
  in(directory: string | null): Origin {
    const mounted = this.#all.find(candidate => candidate.directory === directory)
    if (!mounted) throw new CacheError('not-found', `there is no directory ${directory}`)
    return mounted.origin
  }

  /** @throws CacheError not-found */
  of(image: Image): MountedOrigin {
    const mounted = this.#all.find(({ origin }) => origin.url === image.origin)
    if (!mounted) throw new CacheError('not-found', `${image.key}: its origin ${image.origin} is not mounted`)
    return mounted
  }

  /**
   * The patience of one reader who begins to wait now.
   * @throws CacheError not-found
   */
  patienceFor(image: Image): Patience | null {
    const { patience } = this.of(image)
    return patience ? new Patience(patience) : null
  }

  /** The directory that shows an image; null is the root, and where its origin is not mounted. */
  directoryOf(image: Image): string | null {
    return this.#all.find(({ origin }) => origin.url === image.origin)?.directory ?? null
  }

  /** How long what an origin said of names is taken as fresh. */
  freshMs({ url }: Pick<Origin, 'url'>): number {
    const mounted = this.#all.find(({ origin }) => origin.url === url)
    return (mounted?.revalidateSeconds ?? this.#revalidateSeconds) * 1000
  }
}
