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
import type { CacheMode } from '../cache/modes/cache-mode.ts'
import type { Presentation } from '../fuse/filesystem/attributes.ts'
import type { Backend, BackendOptions, KnownImage } from '../fuse/filesystem/backend.ts'
import type { Deadlines } from '../fuse/filesystem/transport.ts'
import type { Negotiated } from '../fuse/kernel/negotiation.ts'
import type { ReadReportListener } from '../fuse/kernel/read-reports.ts'
import type { Session, SessionCounters, SessionLatencies, SessionOptions, StoreFile } from '../native/addon.ts'
import type { Librbd, LibrbdResponder, LibrbdThrottles } from '../native/librbd.ts'
import { type AnswerCounts, answerCountsOf } from './answer-kinds.ts'
import { explainObject, type ObjectExplanation } from './explain-object.ts'
import { KnownParents, type ParentPlace, type ParentStatus } from './known-parents.ts'
import { leftToClusterIn } from './left-to-cluster.ts'
import { retreatMs, silenceMs } from './limits.ts'
import { ObjectImages } from './object-images.ts'
import { ObjectTransport } from './object-transport.ts'
import { ObjectView } from './object-view.ts'

/** The cache as the object view uses it. */
export interface ObjectBackend
  extends Pick<Backend, 'release' | 'read' | 'fileOf' | 'originReadBegun' | 'originReadDone' | 'bufferTouched'> {
  open(image: Image): Promise<StoreFile | null>
  /** Images that are known without asking. */
  readonly known: {
    imageWhere(holds: (nodeId: bigint) => boolean): KnownImage | null
    imageOfName(directory: string | null, key: string): KnownImage | null
  }
  lookup(directory: string | null, key: string, options: BackendOptions): Promise<KnownImage>
  residence(image: Image): { readonly mode: CacheMode }
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

export interface LibrbdMeasurements {
  readonly connections: number
  /** Connections that were closed because their bytes were no frames. */
  readonly broken: number
  readonly answers: AnswerCounts
  /** Parents that are answered by path. */
  readonly parentsKnown: number
}

export interface LibrbdStatus extends LibrbdMeasurements {
  readonly parents: readonly ParentStatus[]
}

export class LibrbdServer {
  readonly #responder: LibrbdResponder
  readonly #images: ObjectImages
  readonly #parents: KnownParents
  readonly #transport: ObjectTransport
  readonly #options: LibrbdServerOptions
  /** One after the other: the last one has the last word. */
  #rebound = Promise.resolve()
  #ending: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(options: LibrbdServerOptions) {
    const { backend, logger } = options
    this.#options = options
    this.#images = new ObjectImages({
      open: image => backend.open(image),
      release: image => backend.release(image),
      imageWhere: holds => backend.known.imageWhere(holds),
      binder: {
        bind: (part, file) => this.#transport.session.bind(part, file),
        unbind: part => this.#transport.session.unbind(part),
        describe: (part, known) =>
          this.#transport.session.setEntry(
            BigInt(part),
            known?.image.sizeBytes ?? 0,
            known && view.entryOf(part, known),
          ),
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
      leftToCluster: image => leftToClusterIn(backend.residence(image).mode),
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

  /** Images have other modes: answer as they say, and read from the data files that they allow. Never rejects. */
  rebind(): Promise<void> {
    const { backend } = this.#options
    const bound = (part: number, image: Image, file: StoreFile | null) =>
      this.#responder.changeParent(part, file, leftToClusterIn(backend.residence(image).mode))
    const rebind = () => this.#images.rebind(image => backend.fileOf(image), bound)
    return (this.#rebound = this.#rebound.then(() => (this.#closing ? undefined : rebind())))
  }

  status(): LibrbdStatus {
    return { ...this.measurements(), parents: this.#parents.status() }
  }

  /** The part of the status that costs no walk over parents. */
  measurements(): LibrbdMeasurements {
    const { connections, broken, answers } = this.#responder.counters()
    return { connections, broken, answers: answerCountsOf(answers), parentsKnown: this.#parents.known }
  }

  /** @throws CacheError not-found, invalid-argument */
  explain(name: string): ObjectExplanation {
    const { directory } = this.#options
    return explainObject(name, { responder: this.#responder, directory, parents: this.#parents.entries() })
  }

  /** Counters of the view's session threads. */
  counters(): SessionCounters {
    return this.#transport.counters()
  }

  /** See {@link Session.takeSamples}. */
  takeSamples(): Float64Array {
    return this.#transport.session.takeSamples()
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
    this.#options.logger.info({}, 'clients of librbd were let go')
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
