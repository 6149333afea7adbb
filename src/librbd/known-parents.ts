/**
 * Known parents: learns at the first ask which image a clone's parent is, tells the responder, and looks now and then
 * whether the snapshot is still there.
 *
 * Whatever is not certain is refused: its clients read from their cluster. A refusal holds until the next check.
 */
import { ByteSemaphore } from '../async/byte-semaphore.ts'
import { PeriodicTask } from '../async/periodic-task.ts'
import { messageOf } from '../base/errors.ts'
import type { Image } from '../base/image.ts'
import type { Logger } from '../base/logger.ts'
import { LruMap } from '../base/lru-map.ts'
import type { KnownImage } from '../fuse/filesystem/backend.ts'
import type { LeftToCluster, LibrbdResponder, ParentName } from '../native/librbd.ts'
import type { FoundParent, ParentFinder, ParentRefusal } from '../origin/contract/parent-finder.ts'
import { numberOfRefusal } from './answer-kinds.ts'
import type { ExplainedParent } from './explain-object.ts'
import { parentCheckMs, parentIdleMs, parentSearchMsMax, parentsMax, parentsSoughtAtOnce } from './limits.ts'
import type { ObjectImages } from './object-images.ts'
import { imagePartOf, orderOf } from './object-node.ts'

/** An origin that may have parents, and the directory that shows it. */
export interface ParentPlace {
  readonly directory: string | null
  readonly finder: ParentFinder
}

export interface KnownParentsContext {
  readonly responder: Pick<LibrbdResponder, 'setParent' | 'refuseParent' | 'removeParent' | 'takeAsked' | 'takeUnknown'>
  places(): readonly ParentPlace[]
  /** The image of a key, as far as is known. */
  imageOfName(directory: string | null, key: string): KnownImage | null
  /** @throws CacheError */
  lookup(directory: string | null, key: string, options: { readonly signal: AbortSignal }): Promise<KnownImage>
  readonly images: Pick<ObjectImages, 'openAs' | 'close'>
  /** As the mode of the image says now. */
  leftToCluster(image: Image): LeftToCluster
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now: () => number
}

/** A parent, or why it is none. */
export interface ParentStatus {
  readonly poolId: string
  readonly namespace: string
  readonly prefix: string
  readonly snapshotId: string
  /** The file that shows it; null where it is refused. */
  readonly image: string | null
  readonly refusal: ParentRefusal | null
}

interface Entry {
  readonly name: ParentName
  readonly finder: ParentFinder | null
  readonly image: ExplainedParent['image']
  readonly refusal: ParentRefusal | null
  askedMs: number
}

export class KnownParents {
  readonly #parts: KnownParentsContext
  readonly #entries: LruMap<string, Entry>
  /** Its bytes are searches. */
  readonly #searches = new ByteSemaphore(parentsSoughtAtOnce)
  readonly #check: PeriodicTask
  readonly #closed = new AbortController()

  constructor(parts: KnownParentsContext, max = parentsMax, checkMs = parentCheckMs) {
    this.#parts = parts
    this.#entries = new LruMap(max, { onLeave: entry => this.#forget(entry) })
    this.#check = new PeriodicTask(checkMs, () => this.check())
    this.#check.start()
  }

  /** Parents were asked for that are unknown. */
  onUnknown(): void {
    // Each handles its own errors.
    for (const name of this.#parts.responder.takeUnknown()) void this.#learn(name)
  }

  status(): ParentStatus[] {
    return [...this.#entries.values()].map(({ name, image, refusal }) => ({
      poolId: String(name.poolId),
      namespace: name.namespace,
      prefix: name.prefix,
      snapshotId: String(name.snapshotId),
      image: image?.key ?? null,
      refusal,
    }))
  }

  /** Parents that were asked for; refused ones too. */
  entries(): Iterable<ExplainedParent> {
    return this.#entries.values()
  }

  /** Parents that are answered by path. */
  get known(): number {
    return [...this.#entries.values()].filter(({ image }) => image !== null).length
  }

  /** Let go what is idle, refused, or whose snapshot has gone. Never rejects. */
  async check(): Promise<void> {
    const { responder, now } = this.#parts
    const checks = [...this.#entries.values()].map(async entry => {
      if (responder.takeAsked(entry.name)) {
        entry.askedMs = now()
        this.#entries.use(keyOfName(entry.name))
      }
      const isIdle = now() - entry.askedMs > parentIdleMs
      if (entry.refusal !== null || isIdle || !(await this.#isThere(entry))) this.#remove(entry)
    })
    await Promise.all(checks)
  }

  /** Idempotent. */
  close(): void {
    this.#check.stop()
    this.#closed.abort()
  }

  async #learn(name: ParentName): Promise<void> {
    const { signal } = this.#closed
    if (signal.aborted) return
    try {
      await this.#searches.run(1, signal, () => this.#find(name))
    } catch (error) {
      if (signal.aborted) return
      this.#parts.logger.warn({ ...shown(name), reason: messageOf(error) }, 'a parent of clones was not found')
      this.#refuse(name, 'unreachable')
    }
  }

  async #find(name: ParentName): Promise<void> {
    const signal = AbortSignal.timeout(parentSearchMsMax)
    for (const { directory, finder } of this.#parts.places()) {
      const found = await finder.findParent(name, { signal })
      if (found === null) continue
      if (typeof found === 'string') return this.#refuse(name, found)
      return this.#know(name, { directory, finder }, found, signal)
    }
    this.#refuse(name, 'not-an-origin')
  }

  async #know(name: ParentName, place: ParentPlace, found: FoundParent, signal: AbortSignal): Promise<void> {
    const { images, responder, logger, now } = this.#parts
    const order = orderOf(found.objectBytes)
    if (order === null) return this.#refuse(name, 'unsupported')
    const known = await this.#parts.lookup(place.directory, this.#keyOf(place, found), { signal })
    if (known.image.validator !== found.validator) return this.#refuse(name, 'gone')
    const opened = await images.openAs(known)
    if (this.#closed.signal.aborted) return
    if (opened === null) return this.#refuse(name, 'ambiguous')
    const part = imagePartOf(known.nodeId)
    const { sizeBytes, existing } = found
    const left = this.#parts.leftToCluster(known.image)
    responder.setParent(name, { image: part, order, sizeBytes, file: opened.file, existing, left })
    const key = place.directory === null ? known.image.key : `${place.directory}/${known.image.key}`
    logger.info({ ...shown(name), image: key }, 'a parent of clones is known')
    this.#set({ name, finder: place.finder, image: { key, part, order, sizeBytes }, refusal: null, askedMs: now() })
  }

  /** The key under which the image is known already, so that both ways share what is cached. */
  #keyOf({ directory }: ParentPlace, { keys, validator }: FoundParent): string {
    const isKnown = (key: string) => this.#parts.imageOfName(directory, key)?.image.validator === validator
    return keys.find(isKnown) ?? keys[0]!
  }

  #refuse(name: ParentName, refusal: ParentRefusal): void {
    this.#parts.responder.refuseParent(name, numberOfRefusal(refusal))
    this.#parts.logger.debug({ ...shown(name), refusal }, 'objects of a parent are left to the cluster')
    this.#set({ name, finder: null, image: null, refusal, askedMs: this.#parts.now() })
  }

  /** An error of the cluster is no answer: what is held stays right. */
  async #isThere({ name, finder }: Entry): Promise<boolean> {
    try {
      return (await finder?.hasParent(name, { signal: AbortSignal.timeout(parentSearchMsMax) })) ?? false
    } catch {
      return true
    }
  }

  #set(entry: Entry): void {
    this.#entries.set(keyOfName(entry.name), entry)
  }

  #remove(entry: Entry): void {
    const key = keyOfName(entry.name)
    if (this.#entries.get(key) !== entry) return
    this.#entries.delete(key)
    this.#forget(entry)
  }

  #forget({ name, image }: Entry): void {
    this.#parts.responder.removeParent(name)
    const isShared = [...this.#entries.values()].some(other => other.image?.part === image?.part)
    if (image && !isShared) this.#parts.images.close(image.part)
  }
}

function keyOfName({ poolId, namespace, prefix, snapshotId }: ParentName): string {
  return `${poolId} ${snapshotId} ${prefix} ${namespace}`
}

/** For the log. */
function shown({ poolId, namespace, prefix, snapshotId }: ParentName) {
  return { poolId: String(poolId), namespace, prefix, snapshotId: String(snapshotId) }
}
