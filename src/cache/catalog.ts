/**
 * Names and images: which version of an image a name means now, and the node id that a version keeps for ever.
 *
 * What the kernel is told is recorded first. A name is asked of the origin again when what it said is not fresh any more and
 * somebody looks it up; starting up counts as having asked, so that a warm restart asks the origin nothing. An origin that
 * is away leaves names and attributes as the index knows them.
 *
 * A version without a name is one that the origin has replaced by another, or of whose name the origin says that there is no such
 * image: an origin that is away says nothing, and a name that is missing in a listing is asked for before it goes.
 */
import { within } from '../deadline.ts'
import { CacheError, isCacheError } from '../errors.ts'
import { type Image, identify } from '../image.ts'
import type { ImageEntry, IndexDatabase } from '../index/index-database.ts'
import { revalidateMsMax } from '../limits.ts'
import type { Logger } from '../logger.ts'
import type { Origin } from '../origin/origin.ts'
import { SingleFlight } from '../single-flight.ts'
import type { Store } from '../store/store.ts'
import { Listings } from './listings.ts'
import { Recorder } from './recorder.ts'

export interface CatalogOptions {
  readonly index: IndexDatabase
  /** Has the ceiling. */
  readonly store: Pick<Store, 'recordWithin'>
  readonly logger: Logger
  /** How long what an origin said of names is taken as fresh. */
  freshMs(origin: Origin): number
  /** Node ids up to this one belong to directories. */
  readonly reservedNodeIds: bigint
  /** Milliseconds, never going back. */
  readonly now: () => number
}

/** What is known of a name. */
interface Named {
  readonly entry: ImageEntry
  checkedMs: number
}

export class Catalog {
  readonly #options: CatalogOptions
  readonly #startedMs: number
  readonly #byId = new Map<string, ImageEntry>()
  readonly #byNode = new Map<bigint, ImageEntry>()
  /** By the origin's URL, then by name; all that the index has. */
  readonly #names = new Map<string, Map<string, Named>>()
  readonly #listings: Listings
  readonly #lookups = new SingleFlight<ImageEntry>()
  readonly #recorder: Recorder
  /** Ids of the versions that have no name. */
  readonly #nameless: Set<string>
  /** Names that went from a listing, to be asked for, and not before when. */
  readonly #vanished = new Map<string, { readonly origin: Origin; readonly name: string }>()
  #askAgainMs = 0

  constructor(options: CatalogOptions) {
    this.#options = options
    this.#startedMs = options.now()
    this.#recorder = new Recorder(options.store, options.logger)
    this.#listings = new Listings({
      ...options,
      recorder: this.#recorder,
      isFresh: (origin, checkedMs) => this.#isFresh(origin, checkedMs),
      known: origin => this.#namesOf(origin),
      onVanished: (origin, name) => this.#vanished.set(`${origin.url} ${name}`, { origin, name }),
    })
    for (const entry of options.index.images()) this.#remember(entry)
    this.#nameless = new Set(this.#byId.keys())
    for (const url of new Set([...this.#byId.values()].map(({ image }) => image.origin))) {
      for (const { name, imageId } of options.index.names(url)) {
        const entry = this.#byId.get(imageId)
        if (!entry) continue
        this.#namesOf({ url }).set(name, { entry, checkedMs: this.#startedMs })
        this.#nameless.delete(imageId)
      }
    }
  }

  /** Images that are known, of all versions. */
  get size(): number {
    return this.#byId.size
  }

  /** Versions that have no name, in the order in which they lost it. */
  nameless(): ImageEntry[] {
    return [...this.#nameless].flatMap(id => this.#byId.get(id) ?? [])
  }

  isNameless(imageId: string): boolean {
    return this.#nameless.has(imageId)
  }

  /** Does the name under which this version was known mean nothing at all now? */
  hasLostName({ image }: ImageEntry): boolean {
    return this.#named({ url: image.origin }, image.key) === null
  }

  /** A version without a name is retired: from now on it is one that nobody knows. */
  forget({ image, nodeId }: ImageEntry): void {
    this.#byId.delete(image.id)
    this.#byNode.delete(nodeId)
    this.#nameless.delete(image.id)
    this.#recorder.drop(imageKey(image.id))
  }

  /** It could not be retired; unless it has come back meanwhile, it is known as before. */
  reinstate(entry: ImageEntry): void {
    if (this.#byId.has(entry.image.id)) return
    this.#remember(entry)
    this.#nameless.add(entry.image.id)
  }

  /** Is this image in the index? Blocks of one that is not would be lost at the next start. */
  isRecorded({ id }: Image): boolean {
    return this.#byId.has(id) && !this.#recorder.has(imageKey(id))
  }

  /** Try again what could not be written, and ask for the names that went from a listing. */
  async catchUp(signal: AbortSignal): Promise<void> {
    await this.#recorder.retry()
    if (this.#options.now() < this.#askAgainMs) return
    for (const [key, { origin, name }] of [...this.#vanished]) {
      if (signal.aborted) return
      try {
        await this.#lookups.run(key, signal, shared => this.#ask(origin, name, shared))
      } catch (error) {
        // Whatever else it says is an answer, and another one comes with the next lookup.
        if (isCacheError(error, 'aborted', 'origin-away', 'origin-unreachable', 'origin-timeout', 'origin-failed')) {
          this.#askAgainMs = this.#options.now() + this.#options.freshMs(origin)
          return
        }
      }
      this.#vanished.delete(key)
    }
  }

  imageOfNode(nodeId: bigint): ImageEntry | null {
    return this.#byNode.get(nodeId) ?? null
  }

  /** What a name means, as far as is known; nothing is asked. */
  imageOfName(origin: Origin, name: string): ImageEntry | null {
    return this.#named(origin, name)?.entry ?? null
  }

  /** The names of an origin that mean something, with what they mean, sorted; nothing is asked. */
  known(origin: Origin): { name: string; entry: ImageEntry }[] {
    const names = this.#namesOf(origin)
    return [...names.keys()].sort().map(name => ({ name, entry: names.get(name)!.entry }))
  }

  /**
   * The image that `name` means now.
   * @throws CacheError not-found, access-denied, image-too-large, origin-*, aborted
   */
  async lookup(origin: Origin, name: string, signal: AbortSignal): Promise<ImageEntry> {
    const named = this.#named(origin, name)
    if (named && this.#isFresh(origin, named.checkedMs)) return named.entry
    const asked = this.#lookups.run(`${origin.url} ${name}`, signal, shared => this.#ask(origin, name, shared))
    if (!named) return asked
    try {
      return await within(revalidateMsMax, asked, () => noAnswer(name))
    } catch (error) {
      if (isCacheError(error, 'not-found', 'access-denied', 'origin-unsupported', 'image-too-large', 'aborted'))
        throw error
      this.#unanswered({ origin: origin.url, name, err: error })
      named.checkedMs = this.#options.now()
      return named.entry
    }
  }

  /** The names of an origin now. @throws CacheError access-denied, origin-*, aborted */
  list(origin: Origin, signal: AbortSignal): Promise<readonly string[]> {
    return this.#listings.list(origin, signal)
  }

  /** Listings that had more names than are shown. */
  get cutListings(): number {
    return this.#listings.cut
  }

  /** A read found that the origin has another version: ask at the next lookup, whatever was asked before. */
  imageChanged(image: Image): void {
    for (const named of this.#namesOf({ url: image.origin }).values()) {
      if (named.entry.image.id === image.id) named.checkedMs = Number.NEGATIVE_INFINITY
    }
  }

  /** Of an origin that is away there is one line, and it has been written. */
  #unanswered(facts: { readonly err: unknown; readonly [fact: string]: unknown }): void {
    const level = isCacheError(facts.err, 'origin-away') ? 'debug' : 'warn'
    this.#options.logger[level](facts, 'the origin does not answer; the index does')
  }

  #named(origin: Pick<Origin, 'url'>, name: string): Named | null {
    return this.#namesOf(origin).get(name) ?? null
  }

  #namesOf({ url }: Pick<Origin, 'url'>): Map<string, Named> {
    const names = this.#names.get(url) ?? new Map<string, Named>()
    this.#names.set(url, names)
    return names
  }

  async #ask(origin: Origin, name: string, signal: AbortSignal): Promise<ImageEntry> {
    const { index } = this.#options
    const key = `${origin.url} ${name}`
    try {
      const image = identify(await origin.lookup(name, { signal }))
      const before = this.#named(origin, name)?.entry.image.id
      this.#nameless.delete(image.id) // In the turn in which it is found: nobody may retire it any more.
      const known = this.#byId.get(image.id)
      const entry = known ?? this.#admit(image)
      const bytes = JSON.stringify(image).length
      // Asked for in this order, and waited for together: a disk that hangs costs its time once.
      await Promise.all([
        known || this.#recorder.record(imageKey(image.id), bytes, true, () => index.putImage(entry)),
        before === image.id ||
          this.#recorder.record(key, key.length, true, () => index.putName(origin.url, name, image.id)),
      ])
      if (before !== undefined && before !== image.id) this.#nameless.add(before)
      this.#namesOf(origin).set(name, { entry, checkedMs: this.#options.now() })
      return entry
    } catch (error) {
      if (isCacheError(error, 'not-found')) {
        const before = this.#named(origin, name)?.entry.image.id
        const remove = () => index.removeName(origin.url, name)
        this.#namesOf(origin).delete(name)
        if (index.name(origin.url, name) !== null) await this.#recorder.record(key, 0, true, remove)
        if (before !== undefined) this.#nameless.add(before)
      }
      throw error
    }
  }

  /** Give a new image its node id; the caller records it. */
  #admit(image: Image): ImageEntry {
    const entry = { image, nodeId: this.#nodeIdFor(image.id) }
    this.#remember(entry)
    return entry
  }

  #remember(entry: ImageEntry): void {
    this.#byId.set(entry.image.id, entry)
    this.#byNode.set(entry.nodeId, entry)
  }

  /** 62 bits of the image id; the next free one where another image already has it. */
  #nodeIdFor(imageId: string): bigint {
    let nodeId = BigInt(`0x${imageId.slice(0, 16)}`) >> 2n
    while (nodeId <= this.#options.reservedNodeIds || this.#byNode.has(nodeId)) nodeId++
    return nodeId
  }

  #isFresh(origin: Origin, checkedMs: number): boolean {
    return this.#options.now() - checkedMs < this.#options.freshMs(origin)
  }
}

const imageKey = (imageId: string) => `image ${imageId}`
function noAnswer(what: string): CacheError {
  return new CacheError('origin-timeout', `${what}: no answer in ${revalidateMsMax} ms`)
}
