/**
 * Mode table: the mode of each image, by the most specific word about it: of the image, of its origin, of the mount.
 *
 * The configuration says a mode of the mount and of origins. An operator's word goes before it and is recorded in the
 * index, so that it outlives restarts. It ends when the configuration comes to say something else at the same place:
 * the later word counts. The word about an image belongs to its name, and holds for each version of it.
 */
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { ModeRecord } from '../../index/format/records.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import { type CacheMode, isCacheMode, keepsMisses } from './cache-mode.ts'
import { Draining } from './draining.ts'
import { imageModesMax } from './limits.ts'

/** The modes that the configuration says; null: nothing about this origin. */
export interface ConfiguredModes {
  readonly mount: CacheMode
  /** By URL. */
  readonly origins: ReadonlyMap<string, CacheMode | null>
}

/** The place of a mode: an image by its origin and name, an origin by its URL, or the mount. */
export interface ModePlace {
  readonly origin: string | null
  readonly name: string | null
}

/** A word about a place, and whose it is. */
export interface SaidMode {
  readonly mode: CacheMode
  readonly by: 'operator' | 'configuration'
}

export interface ModeTableContext {
  readonly index: Pick<IndexDatabase, 'modes' | 'putMode' | 'removeMode'>
  readonly configured: ConfiguredModes
  /** URLs of origins that are being removed; none when absent. */
  readonly leaving?: ReadonlySet<string>
}

/** An operator's words about one origin and its images; of the mount, the only one is `own`. */
interface Words {
  own: ModeRecord | null
  readonly images: Map<string, CacheMode>
}

/** The key of the mount among origins: no URL is empty. */
const mountKey = ''

export class ModeTable {
  /** Origins whose images are leaving the cache, whatever their modes. */
  readonly draining = new Draining()
  /** URLs of origins that are being removed: nothing more is kept of them. */
  readonly leaving: ReadonlySet<string>
  readonly #index: ModeTableContext['index']
  #configured: ConfiguredModes
  /** By URL. */
  readonly #words = new Map<string, Words>()

  constructor({ index, configured, leaving = new Set() }: ModeTableContext) {
    this.leaving = leaving
    this.#index = index
    this.#configured = configured
    this.#load(mountKey)
    for (const url of configured.origins.keys()) this.#load(url)
  }

  /** The mode of an image. */
  of({ origin, key }: Pick<Image, 'origin' | 'key'>): CacheMode {
    const mode = this.#words.get(origin)?.images.get(key) ?? this.ofOrigin(origin)
    return keepsMisses(mode) && this.leaving.has(origin) ? 'proxy' : mode
  }

  /** The mode of the images of an origin that have none of their own. */
  ofOrigin(url: string): CacheMode {
    return this.said({ origin: url, name: null })?.mode ?? this.ofMount
  }

  /** The mode where nothing more specific is said. */
  get ofMount(): CacheMode {
    return this.#operatorsWord(mountKey) ?? this.#configured.mount
  }

  /** The word about a place itself; null: none, and a wider one counts. */
  said({ origin, name }: ModePlace): SaidMode | null {
    const url = origin ?? mountKey
    const word = name === null ? this.#operatorsWord(url) : this.#words.get(url)?.images.get(name)
    if (word) return { mode: word, by: 'operator' }
    const configured = name === null ? this.#configuredAt(url) : null
    return configured && { mode: configured, by: 'configuration' }
  }

  /** The names of an origin's images about which an operator has said a mode. */
  namesOf(url: string): readonly string[] {
    return [...(this.#words.get(url)?.images.keys() ?? [])].sort()
  }

  /**
   * Say a mode; null takes an operator's word back. Resolves when it is recorded, and holds from then on.
   * @throws CacheError invalid-argument when too many images have one, index-failed: nothing has changed then
   */
  async say({ origin, name }: ModePlace, mode: CacheMode | null): Promise<void> {
    const url = origin ?? mountKey
    const words = this.#words.get(url) ?? this.#load(url)
    if (mode === null) {
      await this.#index.removeMode(url, name ?? '')
      if (name === null) words.own = null
      else words.images.delete(name)
      return
    }
    if (name !== null && !words.images.has(name) && this.#imageModes >= imageModesMax) {
      const advice = 'say the mode of their origin, or "parentfs mode configured" for some'
      throw new CacheError('invalid-argument', `${imageModesMax} images have a mode of their own: ${advice}`)
    }
    const over = name === null ? this.#configuredAt(url) : null
    const record = { name: name ?? '', mode, over }
    await this.#index.putMode(url, record)
    if (name === null) words.own = record
    else words.images.set(name, mode)
  }

  /** Another configuration, perhaps with other origins. */
  configure(configured: ConfiguredModes): void {
    this.#configured = configured
    for (const url of this.#words.keys()) if (url !== mountKey && !configured.origins.has(url)) this.#words.delete(url)
    for (const url of configured.origins.keys()) if (!this.#words.has(url)) this.#load(url)
  }

  get #imageModes(): number {
    let count = 0
    for (const { images } of this.#words.values()) count += images.size
    return count
  }

  /** An operator's word counts as long as the configuration says what it said then. */
  #operatorsWord(url: string): CacheMode | null {
    const own = this.#words.get(url)?.own ?? null
    return own && own.over === this.#configuredAt(url) && isCacheMode(own.mode) ? own.mode : null
  }

  #configuredAt(url: string): CacheMode | null {
    return url === mountKey ? this.#configured.mount : (this.#configured.origins.get(url) ?? null)
  }

  #load(url: string): Words {
    const words: Words = { own: null, images: new Map() }
    for (const record of this.#index.modes(url)) {
      // A later version may know others.
      if (!isCacheMode(record.mode)) continue
      if (record.name === '') words.own = record
      else words.images.set(record.name, record.mode)
    }
    this.#words.set(url, words)
    return words
  }
}
