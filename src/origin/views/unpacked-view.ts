/**
 * Unpacked view: an Origin that shows each `NAME.zst`, `NAME.xz` and `NAME.gz` of another one as `NAME`, too. A view is
 * a sequential image. A file `NAME` of the origin hides it; of several packed files of one name, the first of these
 * endings is shown.
 *
 * A size that its format does not tell is measured, by a pass that keeps nothing: its lookups fail until that is over.
 * A pass vouches for what it has unpacked where the packed file has a publisher's digest: the view's digest is then
 * the one that the pass has computed.
 */
import { createHash } from 'node:crypto'
import PQueue from 'p-queue'
import { abortable } from '../../async/abortable.ts'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import { type Image, type ImageFacts, identify } from '../../base/image.ts'
import { listingNamesMax } from '../../base/limits.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { FileFormat, StreamDecoders } from '../../native/stream-decoder.ts'
import type { Digest } from '../contract/digest.ts'
import { NoRangesError } from '../contract/no-ranges-error.ts'
import type { FoundImage, Origin, OriginExtent, ReadOptions, TakeBytes } from '../contract/origin.ts'
import { ForwardingOrigin } from '../wrappers/forwarding-origin.ts'
import { measuredFilesMax, measureWaitMs } from './limits.ts'
import { type ReadPacked, xzSize, zstdSize } from './packed-sizes.ts'
import { decode, eachPacked } from './packed-stream.ts'

/** Endings of names, and the format behind each. The first one of a name is shown. */
const endings: readonly (readonly [ending: string, format: FileFormat])[] = [
  ['.zst', 'zstd'],
  ['.xz', 'xz'],
  ['.gz', 'gzip'],
]

const validatorPrefix = 'unpacked from '

/** A packed file that is shown as a view. */
interface Source {
  readonly packed: Image
  readonly isSequential: boolean
  readonly format: FileFormat
  /** The validator of the view. */
  readonly validator: string
}

export class UnpackedViewOrigin extends ForwardingOrigin {
  readonly #decoders: StreamDecoders
  /** The packed files behind views, by the ids of those. */
  readonly #sources = new LruMap<string, Source>(measuredFilesMax)
  /** Unpacked sizes by the ids of packed files. */
  readonly #sizes = new LruMap<string, number>(measuredFilesMax)
  readonly #measuring = new Map<string, Promise<number>>()
  readonly #measurements = new PQueue({ concurrency: 1 })
  readonly #stop = new LightAbortSignal()
  /** Passes under way, by the ids of views, and the SHA-256 of what passes have vouched for. */
  readonly #passes = new Map<string, Promise<void>>()
  readonly #vouched = new LruMap<string, string>(measuredFilesMax)

  constructor(inner: Origin, decoders: StreamDecoders) {
    super(inner)
    this.#decoders = decoders
  }

  override get hasOwnFiles(): boolean {
    return false
  }

  override publicUrlOf(): null {
    return null
  }

  override async list(options: ReadOptions): Promise<readonly string[] | null> {
    const listed = await this.inner.list(options)
    const views = new Set(listed?.flatMap(name => viewNameOf(name) ?? []))
    if (listed === null || views.size === 0) return listed
    return [...new Set([...listed, ...views])].slice(0, listingNamesMax + 1)
  }

  override async lookup(key: string, options: ReadOptions): Promise<FoundImage> {
    try {
      return await this.inner.lookup(key, options)
    } catch (error) {
      const source = isCacheError(error, 'not-found') ? await this.#sourceOf(key, options) : null
      if (source === null) throw error
      const { packed, format, validator } = source
      const complaint = this.#decoders.streamDecoderComplaint(format)
      if (complaint !== '') {
        const advice = `install the library that unpacks ${format}`
        throw new CacheError(
          'origin-unsupported',
          `${this.url}${packed.key}: cannot be unpacked: ${complaint}: ${advice}`,
        )
      }
      const sizeBytes = await this.#sizeOf(source, options)
      const facts: ImageFacts = { origin: this.url, key, sizeBytes, validator, modifiedMs: packed.modifiedMs }
      this.#sources.set(identify(facts).id, source)
      return { ...facts, isSequential: true }
    }
  }

  override read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    if (!isView(image)) return this.inner.read(image, offset, target, options)
    return Promise.reject(new NoRangesError(`${this.url}${image.key}: is unpacked from the front`, true))
  }

  override readWhole(image: Image, take: TakeBytes, options: ReadOptions): Promise<void> {
    if (!isView(image)) return super.readWhole(image, take, options)
    const pass = this.#pass(image, take, options)
    const settled = pass.catch(() => {}).then(() => void this.#passes.delete(image.id))
    this.#passes.set(image.id, settled)
    return pass
  }

  override async extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    return isView(image) ? null : await this.inner.extentAt(image, offset, options)
  }

  /** A view that was unpacked by an earlier process has none. */
  override async digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    if (!isView(image)) return await this.inner.digest(image, options)
    throwIfAborted(options.signal)
    await abortable(this.#passes.get(image.id) ?? Promise.resolve(), options.signal)
    const hex = this.#vouched.get(image.id)
    return hex === undefined ? null : { algorithm: 'sha-256', hex }
  }

  override async close(): Promise<void> {
    this.#stop.abort(new CacheError('closed', `${this.url}: the origin has been closed`))
    await super.close()
    await this.#measurements.onIdle()
  }

  async #pass(image: Image, take: TakeBytes, options: ReadOptions): Promise<void> {
    const source = this.#sources.use(image.id) ?? (await this.#sourceOf(image.key, options))
    if (source?.validator !== image.validator) {
      throw new CacheError('image-changed', `${this.url}: ${image.key} is no longer the version that was opened`)
    }
    const { packed } = source
    const published = await this.inner.digest(packed, options).catch(() => null)
    const sums = published && { packed: createHash(published.algorithm.replace('-', '')), own: createHash('sha256') }
    this.#vouched.delete(image.id)
    let bytes = 0
    const takeOne: TakeBytes = chunk => {
      bytes += chunk.length
      if (bytes > image.sizeBytes) throw corrupt(packed, `has more than the ${image.sizeBytes} bytes that it states`)
      sums?.own.update(chunk)
      return take(chunk)
    }
    await this.#unpack(source, chunk => void sums?.packed.update(chunk), takeOne, options)
    if (bytes < image.sizeBytes) throw corrupt(packed, `has ${bytes} of the ${image.sizeBytes} bytes that it states`)
    if (!sums || !published) return
    const computed = sums.packed.digest('hex')
    // The file with the digest may be replaced a moment after the image.
    const isRight = computed === published.hex || computed === (await this.inner.digest(packed, options))?.hex
    if (!isRight) throw corrupt(packed, 'differs from the digest that its publisher gives')
    this.#vouched.set(image.id, sums.own.digest('hex'))
  }

  async #unpack(
    { packed, format, isSequential }: Source,
    onPacked: (bytes: Uint8Array) => void,
    take: TakeBytes,
    options: ReadOptions,
  ): Promise<void> {
    const feed = (takePacked: TakeBytes) => {
      const both: TakeBytes = bytes => {
        onPacked(bytes)
        return takePacked(bytes)
      }
      return isSequential
        ? super.readWhole(packed, both, options)
        : eachPacked(this.inner, packed, both, options.signal)
    }
    await decode(format, `${this.url}${packed.key}`, this.#decoders, feed, take)
  }

  /** The packed file that is shown as `key`; null where there is none. */
  async #sourceOf(key: string, options: ReadOptions): Promise<Source | null> {
    for (const [ending, format] of endings) {
      try {
        const { isSequential = false, ...facts } = await this.inner.lookup(`${key}${ending}`, options)
        const validator = `${validatorPrefix}${ending} ${facts.validator}`
        return { packed: identify(facts), isSequential, format, validator }
      } catch (error) {
        if (!isCacheError(error, 'not-found')) throw error
      }
    }
    return null
  }

  async #sizeOf(source: Source, options: ReadOptions): Promise<number> {
    const { packed } = source
    const known = this.#sizes.use(packed.id) ?? (await this.#statedSize(source, options))
    if (known !== null) {
      this.#sizes.set(packed.id, known)
      return known
    }
    const measuring = this.#measuring.get(packed.id) ?? this.#measure(source)
    const late = () =>
      new CacheError('origin-timeout', `${this.url}${packed.key}: its size is being measured: look again in a while`)
    return await withTimeout(measureWaitMs, abortable(measuring, options.signal), late)
  }

  async #statedSize({ packed, format, isSequential }: Source, options: ReadOptions): Promise<number | null> {
    if (isSequential || format === 'gzip') return null
    const read: ReadPacked = async (offset, length) => {
      const bytes = Buffer.alloc(length)
      await this.inner.read(packed, offset, bytes, options)
      return bytes
    }
    return await (format === 'xz' ? xzSize : zstdSize)(packed.sizeBytes, read)
  }

  #measure(source: Source): Promise<number> {
    const { id } = source.packed
    const measuring = this.#measurements.add(async () => {
      let bytes = 0
      const count: TakeBytes = chunk => {
        bytes += chunk.length
      }
      await this.#unpack(source, () => {}, count, { signal: this.#stop })
      this.#sizes.set(id, bytes)
      return bytes
    })
    this.#measuring.set(id, measuring)
    const end = () => void this.#measuring.delete(id)
    measuring.then(end, end)
    return measuring
  }
}

function isView(image: Image): boolean {
  return image.validator.startsWith(validatorPrefix)
}

/** The name under which a packed file is shown; null for other names. */
function viewNameOf(key: string): string | null {
  const found = endings.find(([ending]) => key.endsWith(ending))
  const name = found ? key.slice(0, -found[0].length) : ''
  return name === '' || name.endsWith('/') ? null : name
}

function corrupt({ origin, key }: Image, why: string): CacheError {
  return new CacheError('image-corrupt', `${origin}${key}: ${why}; nothing of it is served`)
}
