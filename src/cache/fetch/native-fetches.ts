/**
 * Native fetches: blocks that session threads brought by themselves. Their arrivals come here in batches, are counted,
 * and handed over to promotion like any other fetch.
 */
import type { BlockRun, Image } from '../../base/image.ts'
import type { MissTraces, TraceSpan } from '../../base/trace.ts'
import type { Engine } from '../../native/addon.ts'
import type { NativeRange } from '../../origin/contract/native-read-sources.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import { InflightFetch } from './inflight-fetch.ts'
import type { InflightTable } from './inflight-table.ts'
import { arrivalDelayMs } from './limits.ts'

/** The calls of an engine that concern us. */
export type FetchEngine = Pick<Engine, 'fetchMemory' | 'onFetches' | 'takeFetches' | 'releaseFetch' | 'freeFetch'>

export interface NativeFetchesContext {
  readonly fetches: InflightTable
  readonly traces: MissTraces
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Is it still in the store? */
  isStored(stored: StoredImage): boolean
  /** One has come. */
  count(image: Image, range: NativeRange, ms: number): void
}

/** A native fetch that TypeScript waits for. */
export interface JoinedArrival {
  /** Its bytes; null when it failed: its blocks are claimed for the one that joined then. */
  readonly arrival: Promise<Uint8Array | null>
  readonly isHere: boolean
}

/** Numbers of one fetch in a batch, see {@link Engine.onFetches}. */
const fields = 9

export class NativeFetches {
  readonly #engine: FetchEngine | null
  readonly #parts: NativeFetchesContext
  readonly #memory: Uint8Array
  /** The images whose files have an origin, by the numbers of these files. */
  readonly #images = new Map<number, StoredImage>()
  readonly #joined = new Map<number, (bytes: Uint8Array | null) => void>()
  /** Takes one that nobody here waits for. */
  onUnjoined: (stored: StoredImage, inflight: InflightFetch, bytes: Uint8Array) => void = () => {}

  /** @param engine null: there are none */
  constructor(engine: FetchEngine | null, parts: NativeFetchesContext) {
    this.#engine = engine
    this.#parts = parts
    this.#memory = new Uint8Array(engine?.fetchMemory ?? new ArrayBuffer(0))
    engine?.onFetches(() => this.#announced())
  }

  /** Session threads may fetch blocks of it from now on. What they bring is kept as long as it is in the store. */
  watch(stored: StoredImage): void {
    for (const [number, other] of this.#images) if (!this.#parts.isStored(other)) this.#images.delete(number)
    this.#images.set(stored.file.number, stored)
  }

  /** Wait for one that was joined; see {@link StoreFile.joinFetches}. */
  join(id: number): JoinedArrival {
    const joined = { isHere: false, arrival: Promise.resolve<Uint8Array | null>(null) }
    joined.arrival = new Promise(resolve => {
      this.#joined.set(id, bytes => {
        joined.isHere = bytes !== null
        resolve(bytes)
      })
    })
    return joined
  }

  /** Take what has come, and nothing that comes later; what was joined and has not come counts as failed. */
  close(): void {
    this.#takeAll()
    this.#images.clear()
    for (const resolve of this.#joined.values()) resolve(null)
    this.#joined.clear()
  }

  release(id: number): void {
    this.#engine?.releaseFetch(id)
  }

  free(id: number): void {
    this.#engine?.freeFetch(id)
  }

  /** At once where a reader waits here, else together with others. */
  #announced(): void {
    if (this.#joined.size > 0) this.#takeAll()
    else setTimeout(() => this.#takeAll(), arrivalDelayMs).unref()
  }

  #takeAll(): void {
    if (!this.#engine) return
    const batch = this.#engine.takeFetches()
    for (let at = 0; at + fields <= batch.length; at += fields) {
      // One by one: with the iterator of a pattern V8 takes 30 times as long to optimize this.
      const id = batch[at]!
      const object = batch[at + 2]!
      const run = { first: batch[at + 3]!, count: batch[at + 4]! }
      const offset = batch[at + 5]!
      const ms = batch[at + 7]! / 1000
      const bytes = batch[at + 8] === 1 ? this.#memory.subarray(offset, offset + batch[at + 6]!) : null
      const stored = this.#images.get(batch[at + 1]!)
      if (bytes && stored) this.#parts.count(stored.image, stored.geometry.bytesOf(object, run), ms)
      const joined = this.#joined.get(id)
      if (joined) {
        this.#joined.delete(id)
        joined(bytes)
      } else if (bytes) this.#take(id, stored, object, run, bytes, ms)
    }
  }

  #take(id: number, stored: StoredImage | undefined, object: number, run: BlockRun, bytes: Uint8Array, ms: number) {
    if (!stored || !this.#parts.isStored(stored)) {
      this.release(id)
      this.free(id)
      return
    }
    const inflight = new InflightFetch(object, run, {
      isNative: true,
      trace: this.#traced(stored, object, run, ms),
      fetch: () => Promise.resolve(bytes),
      free: () => this.free(id),
    })
    this.#parts.fetches.add(stored, inflight, () => this.release(id))
    this.onUnjoined(stored, inflight, bytes)
  }

  /**
   * A fetch that nobody here has seen begin is traced as it is reported: some milliseconds late, without its plan and
   * its queue.
   * @returns undefined: it is not sampled
   */
  #traced(stored: StoredImage, object: number, run: BlockRun, ms: number): TraceSpan | undefined {
    const { traces, now } = this.#parts
    if (!traces.isSampled()) return undefined
    const { image, geometry } = stored
    const { offset, length } = geometry.bytesOf(object, run)
    const startMs = now() - ms
    const where = { 'parentfs.origin': image.origin, 'parentfs.offset': offset, 'parentfs.bytes': length }
    const miss = traces.begin({ 'parentfs.image': image.key, 'parentfs.native': true, ...where }, startMs)
    miss.begin('native fetch', where, startMs).end()
    miss.end()
    return miss
  }
}
