/**
 * Raw view: an Origin that shows each `NAME.qcow2` and `NAME.vmdk` of another one as `NAME.raw` as well, with the bytes
 * of the disk that is packed in it. All other names are passed on.
 *
 * A file `NAME.raw` of the origin hides the view of that name. Of a qcow2 and a VMDK of one name the qcow2 is shown.
 */
import { SingleFlight } from '../../async/single-flight.ts'
import { TimeSlice } from '../../async/time-slice.ts'
import { CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import { type Image, identify } from '../../base/image.ts'
import { listingNamesMax } from '../../base/limits.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Unpacker } from '../../native/unpacker.ts'
import type { Digest } from '../contract/digest.ts'
import type { FoundImage, Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin } from '../wrappers/forwarding-origin.ts'
import type { OpenDisk } from './disk-format.ts'
import { DiskReader } from './disk-reader.ts'
import { openDisksMax, shadowedNamesMax } from './limits.ts'
import { PackedFile, TablePages } from './packed-file.ts'
import { openQcow2 } from './qcow2.ts'
import { UnpackedUnits } from './unpacked-units.ts'
import { openVmdk } from './vmdk.ts'

const rawEnding = '.raw'

/** Endings of names, and the format behind each. The first one of a name is shown. */
const packedEndings: readonly (readonly [ending: string, open: OpenDisk])[] = [
  ['.qcow2', openQcow2],
  ['.vmdk', openVmdk],
]

export interface RawViewParts {
  readonly unpacker: Unpacker
  readonly logger: Logger
}

/** A packed image that can be a view. */
interface Source {
  readonly image: Image
  readonly open: OpenDisk
  /** Tells the versions of the view apart, and views from files. */
  readonly validator: string
}

export class RawViewOrigin extends ForwardingOrigin {
  readonly #unpacker: Unpacker
  readonly #logger: Logger
  readonly #pages = new TablePages()
  readonly #units = new UnpackedUnits()
  readonly #opening = new SingleFlight<DiskReader>()
  /** By the id of the packed image. */
  readonly #readers = new LruMap<string, DiskReader>(openDisksMax)
  /** The packed images behind views, by the ids of those. */
  readonly #sources = new LruMap<string, Source>(openDisksMax)
  readonly #shadowed = new LruMap<string, true>(shadowedNamesMax)

  constructor(inner: Origin, { unpacker, logger }: RawViewParts) {
    super(inner)
    this.#unpacker = unpacker
    this.#logger = logger
  }

  override get hasOwnFiles(): boolean {
    return false
  }

  override publicUrlOf(): null {
    return null
  }

  override async list(options: ReadOptions): Promise<readonly string[] | null> {
    const listed = await this.inner.list(options)
    if (listed === null) return null
    /** By the name of the view. */
    const packed = new Map<string, string>()
    const turns = new TimeSlice()
    for (const name of listed) {
      if (turns.isOver) await turns.yield()
      const view = viewNameOf(name)
      if (view !== null && !packed.has(view)) packed.set(view, name)
    }
    if (packed.size === 0) return listed
    for (const name of listed) {
      if (turns.isOver) await turns.yield()
      if (!packed.has(name)) continue
      this.#sayShadowed(name, packed.get(name)!)
      packed.delete(name)
    }
    return [...listed, ...packed.keys()].slice(0, listingNamesMax + 1)
  }

  /** @throws CacheError origin-unsupported, origin-protocol for what cannot be shown as raw */
  override async lookup(key: string, options: ReadOptions): Promise<FoundImage> {
    try {
      return await this.inner.lookup(key, options)
    } catch (error) {
      const source = isCacheError(error, 'not-found') ? await this.#sourceOf(key, options) : null
      if (source === null) throw error
      const { disk } = await this.#readerOf(source, options)
      const { origin, modifiedMs } = source.image
      const facts = { origin, key, sizeBytes: disk.sizeBytes, validator: source.validator, modifiedMs }
      this.#sources.set(identify(facts).id, source)
      return facts
    }
  }

  override async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    if (!isView(image)) return await this.inner.read(image, offset, target, options)
    throwIfAborted(options.signal)
    if (target.length === 0) return
    const reader = await this.#viewed(image, options)
    await reader.read(offset, target, options)
  }

  override async extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    if (!isView(image)) return await this.inner.extentAt(image, offset, options)
    throwIfAborted(options.signal)
    if (offset >= image.sizeBytes) return null
    return await (await this.#viewed(image, options)).extentAt(offset, options)
  }

  /** Published digests are those of files: a view has none. */
  override async digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    if (!isView(image)) return await this.inner.digest(image, options)
    throwIfAborted(options.signal)
    return null
  }

  /** The reader of exactly this version. */
  async #viewed(image: Image, options: ReadOptions): Promise<DiskReader> {
    const source = this.#sources.use(image.id) ?? (await this.#sourceOf(image.key, options))
    if (source?.validator !== image.validator) {
      throw new CacheError('image-changed', `${this.url}: ${image.key} is no longer the version that was opened`)
    }
    this.#sources.set(image.id, source)
    return await this.#readerOf(source, options)
  }

  /** The packed image that is shown as `key`; null where there is none. */
  async #sourceOf(key: string, options: ReadOptions): Promise<Source | null> {
    const name = nameBefore(rawEnding, key)
    if (name === null) return null
    for (const [ending, open] of packedEndings) {
      try {
        const facts = await this.inner.lookup(`${name}${ending}`, options)
        if (facts.isSequential) throw this.#withoutRanges(facts.key)
        return { image: identify(facts), open, validator: `${validatorPrefix}${ending} ${facts.validator}` }
      } catch (error) {
        if (!isCacheError(error, 'not-found')) throw error
      }
    }
    return null
  }

  async #readerOf({ image, open }: Source, options: ReadOptions): Promise<DiskReader> {
    const known = this.#readers.use(image.id)
    if (known) return known
    return await this.#opening.run(image.id, options.signal, async signal => {
      const file = new PackedFile(image, this.inner, this.#pages)
      const disk = await open(file, { opener: options.opener, signal })
      const complaint = this.#unpacker.unpackComplaint(disk.packing)
      if (complaint !== '') throw file.refused(`it needs a library for ${disk.packing}: ${complaint}`)
      const reader = new DiskReader(file, disk, this.#units, this.#unpacker)
      this.#readers.set(image.id, reader)
      return reader
    })
  }

  #withoutRanges(key: string): CacheError {
    return new CacheError('origin-unsupported', `${this.url}: has no ranges of ${key}; it is not shown as raw`)
  }

  #sayShadowed(view: string, name: string): void {
    if (this.#shadowed.use(view)) return
    this.#shadowed.set(view, true)
    this.#logger.warn({ origin: this.url, view }, `${view} is a file: ${name} is not shown as raw`)
  }
}

const validatorPrefix = 'as raw of '

function isView(image: Image): boolean {
  return image.validator.startsWith(validatorPrefix) && image.key.endsWith(rawEnding)
}

/** The name under which a packed image is shown; null for other names. */
function viewNameOf(key: string): string | null {
  for (const [ending] of packedEndings) {
    const name = nameBefore(ending, key)
    if (name !== null) return `${name}${rawEnding}`
  }
  return null
}

/** The key without its ending; null for one with another ending, and for one that is nothing else in its directory. */
function nameBefore(ending: string, key: string): string | null {
  const name = key.slice(0, -ending.length)
  return key.endsWith(ending) && name !== '' && !name.endsWith('/') ? name : null
}
