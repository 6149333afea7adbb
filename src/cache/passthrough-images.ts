/**
 * Passthrough eligibility: images whose data files the kernel reads by itself, at the speed of the disk. They are
 * complete, and sound as far as can be known.
 *
 * Files that the kernel reads stay where they are, so all of them together, and pinned images, take at most half of the
 * capacity; reads of further images come to us as ever. Reads by the kernel are not seen here: an image counts as used
 * as long as it is open.
 */
import { PeriodicTask } from '../async/periodic-task.ts'
import { CacheError } from '../base/errors.ts'
import type { Image } from '../base/image.ts'
import type { StoreFile } from '../native/addon.ts'
import type { StoredImage } from '../store/image/stored-image.ts'
import { quarantine } from '../store/quarantine.ts'
import type { Store } from '../store/store.ts'
import { pinnedShareMax } from './evict/limits.ts'
import { dataBytes, type Pins } from './evict/pins.ts'
import { BlockRepair, type BlockRepairContext } from './integrity/block-repair.ts'
import type { DigestVerifier } from './integrity/digest-verifier.ts'
import { passthroughLookMs } from './limits.ts'
import { servesHits } from './modes/cache-mode.ts'
import type { ModeTable } from './modes/mode-table.ts'

export interface PassthroughImagesContext extends BlockRepairContext {
  readonly store: Store
  readonly digester: Pick<DigestVerifier, 'state'>
  readonly pins: Pick<Pins, 'bytes'>
  readonly modes: Pick<ModeTable, 'of' | 'draining'>
  /** Ids of images that the kernel may read from files of another cache directory. */
  readonly passedElsewhere?: readonly string[]
  /** The image is open, or not any more. */
  readonly opens: { begin(imageId: string): void; end(imageId: string): void }
}

/** For status and metrics. */
export interface PassthroughCounters {
  /** Opens that were given a data file, and now are. */
  readonly opens: number
  readonly openNow: number
  /** Images whose data files the kernel reads, by an open or a mapping, and their bytes: none of it can be evicted. */
  readonly images: number
  readonly heldBytes: number
  /** Times that an image was not given because too much is held already. */
  readonly refused: number
  /** Damaged blocks that were written again. */
  readonly repairedBlocks: number
}

export class PassthroughImages {
  readonly #parts: PassthroughImagesContext
  readonly #mender: BlockRepair
  #opens = 0
  #openNow = 0
  #refused = 0
  #suspensions = 0
  readonly #looks = new PeriodicTask(passthroughLookMs, () => this.#look())

  constructor(parts: PassthroughImagesContext) {
    this.#parts = parts
    this.#mender = new BlockRepair(parts)
  }

  get counters(): PassthroughCounters {
    const held = this.#held()
    const heldBytes = held.reduce((sum, stored) => sum + dataBytes(stored), 0)
    const { repairedBlocks: mendedBlocks } = this.#mender
    const [opens, openNow, refused] = [this.#opens, this.#openNow, this.#refused]
    return { opens, openNow, images: held.length, heldBytes, refused, repairedBlocks: mendedBlocks }
  }

  /** Begin to look after what is held; until {@link close}. */
  start(): void {
    this.#looks.start()
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#looks.stop()
    return this.#mender.close()
  }

  /** Would an open of this image be given its data file? */
  offers(image: Image): boolean {
    const { store, digester } = this.#parts
    const stored = store.find(image.id)
    if (!stored || store.health.state !== 'healthy' || !servesHits(this.#parts.modes.of(image))) return false
    if (this.#parts.modes.draining.has(image.origin) || this.#suspensions > 0) return false
    // Once it is given away nothing can be taken back: what the publisher says of it must be known.
    const digest = digester.state(image)
    if (digest !== 'verified' && digest !== 'none') return false
    if (stored.kernelRefs.count > 0) return stored.isSound
    // Held, and not by us: by opens that an earlier process answered.
    return stored.isSound && !stored.kernelRefs.exist && this.#fits(stored)
  }

  /** May the kernel read it from a file of another cache directory, for opens of before a move? */
  isPassedElsewhere({ id }: Image): boolean {
    return this.#parts.passedElsewhere?.includes(id) ?? false
  }

  /**
   * Hold the data file for one open, of which the kernel is about to be told; null when it may not be given.
   * @throws CacheError closed
   */
  begin(image: Image): StoreFile | null {
    const stored = this.offers(image) ? this.#parts.store.find(image.id) : null
    if (!stored?.kernelRefs.begin()) return null
    this.#parts.opens.begin(image.id)
    this.#opens++
    this.#openNow++
    return stored.file
  }

  /** End what one {@link begin} began. */
  end(image: Image): void {
    const stored = this.#parts.store.find(image.id)
    if (!stored) throw new CacheError('store-failed', `${image.key}: held, and not in the store`)
    touchAll(stored)
    stored.kernelRefs.end()
    this.#parts.opens.end(image.id)
    this.#openNow--
  }

  /**
   * Give no further image, before the cache moves away.
   * @returns ids of those that the kernel may read until then; `resume` ends it, to be called once
   */
  suspend(): { readonly passed: readonly string[]; resume(): void } {
    this.#suspensions++
    const held = this.#held().map(({ imageId }) => imageId)
    const passed = [...new Set([...(this.#parts.passedElsewhere ?? []), ...held])]
    return { passed, resume: () => void this.#suspensions-- }
  }

  #fits(stored: StoredImage): boolean {
    const { store, pins } = this.#parts
    let bytes = pins.bytes.maxBytes + dataBytes(stored)
    for (const held of this.#held()) bytes += dataBytes(held)
    const fits = bytes <= store.capacity.capacityBytes * pinnedShareMax
    if (!fits) this.#refused++
    return fits
  }

  #held(): StoredImage[] {
    return [...this.#parts.store.images()].filter(stored => stored.kernelRefs.exist)
  }

  #look(): void {
    const { store, digester } = this.#parts
    for (const stored of store.images()) {
      if (stored.kernelRefs.exist) touchAll(stored)
      // Quarantined while it was being read: now its bytes can go. Failures are tried again.
      else if (stored.heldBytes > 0 && digester.state(stored.image) === 'mismatch')
        void quarantine(stored).catch(() => {})
      if (!stored.damagedObjects().next().done) void this.#mender.repair(stored) // Never rejects.
    }
  }
}

/** It is unknown which of them were read. */
function touchAll(stored: StoredImage): void {
  for (const object of stored.heldObjects()) stored.touch(object)
}
