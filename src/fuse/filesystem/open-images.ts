/**
 * Open images, and the binding of their data files to native readers.
 *
 * The handle of an open image is its node id, the same for all who open it and in every process that serves the mount.
 * Opens by passthrough whose reads come to us have a handle of their own, which stands for the node id here. The first
 * open binds, the last release unbinds. A read of an image that was not opened here (a predecessor opened it) opens it.
 * Opens that a predecessor answered are not counted: a release may close too early, and the next read opens again.
 */
import type { StoreFile } from '../../native/addon.ts'
import type { Backend, KnownImage } from './backend.ts'

/** Lets native readers answer from a data file: a Session. */
export interface Binder {
  bind(handle: bigint, file: StoreFile): void
  unbind(handle: bigint): void
}

interface OpenImage {
  readonly known: KnownImage
  // INVARIANT: > 0 while the entry is in the map.
  opens: number
  /** Settles when the backend holds the image open and its file is bound. */
  readonly ready: Promise<void>
  isReady: boolean
}

export class OpenImages {
  readonly #backend: Pick<Backend, 'open' | 'release' | 'fileOf'>
  readonly #binder: Binder
  readonly #open = new Map<bigint, OpenImage>()
  /** One after the other: the last one has the last word. */
  #rebound = Promise.resolve()

  constructor(backend: Pick<Backend, 'open' | 'release' | 'fileOf'>, binder: Binder) {
    this.#backend = backend
    this.#binder = binder
  }

  /** The ids of images that are open, one for each handle. */
  *ids(): Iterable<string> {
    for (const { known } of this.#open.values()) yield known.image.id
  }

  isOpen(handle: bigint): boolean {
    return this.#open.has(handle)
  }

  /** Count one open. A failed one has opened nothing. */
  async open(known: KnownImage): Promise<void> {
    let entry = this.#open.get(known.nodeId)
    if (entry) entry.opens++
    else this.#open.set(known.nodeId, (entry = this.#start(known)))
    await entry.ready
  }

  /** The open image of this handle if a read can go on at once, else null. */
  ready(handle: bigint): KnownImage | null {
    const entry = this.#open.get(handle)
    return entry?.isReady ? entry.known : null
  }

  /** Wait until the image is open, and open it when it is not. */
  async ensure(known: KnownImage): Promise<void> {
    const entry = this.#open.get(known.nodeId)
    await (entry ? entry.ready : this.open(known))
  }

  /** End one open; of an image that is not open here, nothing. */
  release(handle: bigint): void {
    const entry = this.#open.get(handle)
    if (!entry || --entry.opens > 0) return
    this.#open.delete(handle)
    this.#end(entry)
  }

  /** Data files may be read by native readers again, or not any more: bind what is open anew. Never rejects. */
  rebind(): Promise<void> {
    return (this.#rebound = this.#rebound.then(() => this.#rebind()))
  }

  /** End every open. */
  close(): void {
    for (const [handle, entry] of this.#open) {
      this.#open.delete(handle)
      this.#end(entry)
    }
  }

  async #rebind(): Promise<void> {
    const rebound = [...this.#open].map(async ([handle, entry]) => {
      await entry.ready
      const file = await this.#backend.fileOf(entry.known.image)
      if (this.#open.get(handle) !== entry) return
      if (file) this.#binder.bind(handle, file)
      else this.#binder.unbind(handle)
    })
    await Promise.allSettled(rebound) // An open that failed has bound nothing.
  }

  #start(known: KnownImage): OpenImage {
    const entry: OpenImage = { known, opens: 1, ready: this.#bind(known), isReady: false }
    entry.ready.then(
      () => {
        entry.isReady = true
      },
      // The caller of open sees the error; all of them wait for `ready`, and the next open tries again.
      () => {
        if (this.#open.get(known.nodeId) === entry) this.#open.delete(known.nodeId)
      },
    )
    return entry
  }

  async #bind(known: KnownImage): Promise<void> {
    const file = await this.#backend.open(known.image)
    if (file) this.#binder.bind(known.nodeId, file)
  }

  #end({ known, ready }: OpenImage): void {
    const end = () => {
      // Opened anew in the meantime: that open's binding has replaced ours, or will.
      if (!this.#open.has(known.nodeId)) this.#binder.unbind(known.nodeId)
      this.#backend.release(known.image)
    }
    // A failed open has bound and holds nothing; its caller has seen why.
    ready.then(end, () => {})
  }
}
