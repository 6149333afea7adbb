/**
 * Librbd server: the worker's side of the socket and of the object view, put together.
 *
 * Session threads and the responder's thread do the work; TypeScript learns of parents and reads what misses. The
 * descriptors are the supervisor's, and outlive this.
 */
import { pause } from '../async/pause.ts'
import type { CancelSignal } from '../base/cancel-signal.ts'
import type { Image } from '../base/image.ts'
import type { Logger } from '../base/logger.ts'
import type { Presentation } from '../fuse/filesystem/attributes.ts'
import type { Backend, BackendOptions, KnownImage } from '../fuse/filesystem/backend.ts'
import type { Deadlines } from '../fuse/filesystem/transport.ts'
import type { Negotiated } from '../fuse/kernel/negotiation.ts'
import type { ReadReportListener } from '../fuse/kernel/read-reports.ts'
import type { Session, SessionCounters, SessionLatencies, SessionOptions, StoreFile } from '../native/addon.ts'
import type { Librbd, LibrbdResponder, LibrbdThrottles } from '../native/librbd.ts'
import { type AnswerCounts, answerCountsOf } from './answer-kinds.ts'
import { KnownParents, type ParentPlace, type ParentStatus } from './known-parents.ts'
import { retreatMs, silenceMs } from './limits.ts'
import { ObjectImages } from './object-images.ts'
import { ObjectTransport } from './object-transport.ts'
import { ObjectView } from './object-view.ts'

/** The cache as the object view uses it. */
export interface ObjectBackend
  extends Pick<Backend, 'release' | 'read' | 'originReadBegun' | 'originReadDone' | 'bufferTouched'> {
  open(image: Image): Promise<StoreFile | null>
  /** Images that are known without asking. */
  readonly known: {
    imageWhere(holds: (nodeId: bigint) => boolean): KnownImage | null
    imageOfName(directory: string | null, key: string): KnownImage | null
  }
  lookup(directory: string | null, key: string, options: BackendOptions): Promise<KnownImage>
}

export interface LibrbdServerOptions {
  readonly addon: Pick<Librbd, 'createLibrbdResponder'>
  /** Engine.startSession on the descriptor of the view. */
  readonly startSession: (handlers: Omit<SessionOptions, 'threads'>) => Session
  /** The responder closes it. */
  readonly channel: number
  readonly directory: string
  readonly backend: ObjectBackend
  readonly presentation: Presentation
  readonly places: () => readonly ParentPlace[]
  readonly throttles: LibrbdThrottles
  readonly logger: Logger
  readonly deadlines: Deadlines
  readonly negotiated: Negotiated | null
  readonly onNegotiated: (negotiated: Negotiated) => Promise<void>
}

export interface LibrbdStatus {
  readonly connections: number
  /** Connections that were closed because their bytes were no frames. */
  readonly broken: number
  readonly answers: AnswerCounts
  readonly parents: readonly ParentStatus[]
}

export class LibrbdServer {
  readonly #responder: LibrbdResponder
  readonly #images: ObjectImages
  readonly #parents: KnownParents
  readonly #transport: ObjectTransport
  readonly #logger: Logger
  #ending: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(options: LibrbdServerOptions) {
    const { backend, logger } = options
    this.#logger = logger
    this.#images = new ObjectImages({
      open: image => backend.open(image),
      release: image => backend.release(image),
      imageWhere: holds => backend.known.imageWhere(holds),
      binder: {
        bind: (part, file) => this.#transport.session.bind(part, file),
        unbind: part => this.#transport.session.unbind(part),
      },
    })
    const view = new ObjectView({
      images: this.#images,
      presentation: options.presentation,
      read: (...read) => backend.read(...read),
    })
    this.#transport = new ObjectTransport({
      ...options,
      handlers: view.handlers(),
      reports: reportsTo(backend, this.#images),
      onEnd: () => this.#responder.retreat(),
    })
    this.#responder = options.addon.createLibrbdResponder(options.channel, options.directory, () =>
      this.#parents.onUnknown(),
    )
    this.#responder.setThrottles(options.throttles)
    this.#parents = new KnownParents({
      responder: this.#responder,
      places: options.places,
      imageOfName: (...name) => backend.known.imageOfName(...name),
      lookup: (directory, key, { signal }: { readonly signal: CancelSignal }) =>
        backend.lookup(directory, key, { signal }),
      images: this.#images,
      logger,
      now: () => performance.now(),
    })
  }

  setThrottles(throttles: LibrbdThrottles): void {
    this.#responder.setThrottles(throttles)
  }

  setDeadlines(deadlines: Deadlines): void {
    this.#transport.setDeadlines(deadlines)
  }

  status(): LibrbdStatus {
    const { connections, broken, answers } = this.#responder.counters()
    return { connections, broken, answers: answerCountsOf(answers), parents: this.#parents.status() }
  }

  /** Counters of the view's session threads. */
  counters(): SessionCounters {
    return this.#transport.counters()
  }

  latencies(): SessionLatencies {
    return this.#transport.session.latencies()
  }

  /**
   * Let clients go: answer READ_RADOS to all they ask, then nothing, then close. A client whose connection is closed
   * while it reads by path, or has just been answered, may abort. Idempotent.
   */
  end(): Promise<void> {
    return (this.#ending ??= this.#end())
  }

  /** Stop the threads; clients stay connected to the supervisor, and their asks wait. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #end(): Promise<void> {
    const never = new AbortController().signal
    this.#responder.retreat()
    await pause(retreatMs, never)
    this.#responder.fallSilent()
    await pause(silenceMs, never)
    this.#responder.hangUp()
    this.#logger.info({}, 'clients of librbd were let go')
  }

  async #close(): Promise<void> {
    this.#parents.close()
    this.#responder.close()
    await this.#transport.stop()
    this.#images.closeAll()
  }
}

/** Reports name the upper half of an object's node id. */
function reportsTo(backend: ObjectBackend, images: ObjectImages): ReadReportListener {
  const imageOf = (handle: bigint) => images.find(Number(handle))?.image ?? null
  return {
    bufferTouched: (handle, offset, length) => {
      const image = imageOf(handle)
      if (image) backend.bufferTouched(image, offset, length)
    },
    originReadBegun: (handle, offset, length) => {
      const image = imageOf(handle)
      if (image) backend.originReadBegun(image, offset, length)
    },
    originReadDone: (handle, length, ms) => {
      const image = imageOf(handle)
      if (image) backend.originReadDone(image, length, ms)
    },
  }
}
