/**
 * Name filter: an Origin that shows the images whose names fit patterns, and none of the others.
 *
 * A pattern is a glob over the whole name: `*` and `?` stop at a slash, `**` does not. A leading dot is a character
 * like any other. The filter belongs above the limits: names that are not shown cost the origin nothing.
 */
import picomatch from 'picomatch'
import { CacheError } from '../../base/errors.ts'
import type { ImageFacts } from '../../base/image.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin } from './forwarding-origin.ts'

export interface NamePatterns {
  /** Names that fit one of these are shown; null: all. */
  readonly include: readonly string[] | null
  /** But those that fit one of these. */
  readonly exclude: readonly string[]
  /** Endings of files that lie beside an image, which are found where the image is shown. */
  readonly besideSuffixes: readonly string[]
}

export class NameFilterOrigin extends ForwardingOrigin {
  readonly #shows: (name: string) => boolean
  readonly #besideSuffixes: readonly string[]

  constructor(inner: Origin, { include, exclude, besideSuffixes }: NamePatterns) {
    super(inner)
    const isIncluded = include === null ? () => true : matcherOf(include)
    const isExcluded = exclude.length === 0 ? () => false : matcherOf(exclude)
    this.#shows = name => isIncluded(name) && !isExcluded(name)
    this.#besideSuffixes = besideSuffixes
  }

  override async list(options: ReadOptions): Promise<readonly string[] | null> {
    return (await this.inner.list(options))?.filter(this.#shows) ?? null
  }

  override async lookup(key: string, options: ReadOptions): Promise<ImageFacts> {
    if (this.#shows(key) || this.#liesBeside(key)) return await this.inner.lookup(key, options)
    throw new CacheError('not-found', `${this.url}: ${JSON.stringify(key)} is not among the names that are shown`)
  }

  #liesBeside(key: string): boolean {
    return this.#besideSuffixes.some(suffix => key.endsWith(suffix) && this.#shows(key.slice(0, -suffix.length)))
  }
}

/** @throws Error when one of them is no pattern */
export function matcherOf(patterns: readonly string[]): (name: string) => boolean {
  return picomatch([...patterns], { dot: true, strictBrackets: true, nonegate: true, noextglob: true })
}
