/**
 * The transport that speaks the kernel's own protocol: a session on /dev/fuse, the dispatcher on top of it, and the
 * filesystem.
 *
 * It begins with INIT, or with the agreement of an earlier process: then no INIT comes, and the requests that the
 * earlier process left unanswered are asked for again.
 */
import { randomBytes } from 'node:crypto'
import { messageOf } from '../../base/errors.ts'
import { missSecondsMax, readBytesMax } from '../../base/limits.ts'
import type { Logger } from '../../base/logger.ts'
import type { Session, SessionCounters, SessionLatencies, SessionOptions, StoreFile } from '../../native/addon.ts'
import { type Presentation, presentationDefault } from '../filesystem/attributes.ts'
import type { Backend } from '../filesystem/backend.ts'
import { FileSystem, type FileSystemGauges } from '../filesystem/file-system.ts'
import { Forwarding } from '../filesystem/forwarding.ts'
import { KernelReads } from '../filesystem/kernel-reads.ts'
import { passthroughRetryMs } from '../filesystem/limits.ts'
import { Passthrough } from '../filesystem/passthrough.ts'
import type { Deadlines, SupersededEntry, Transport } from '../filesystem/transport.ts'
import type { TransportCapabilities } from '../filesystem/transport-capabilities.ts'
import { Dispatcher, type DispatcherGauges } from './dispatcher.ts'
import type { RequestHandler } from './handler.ts'
import { handlersOf } from './handlers.ts'
import { InflightJournal, type InflightJournalOptions } from './inflight-journal.ts'
import { hasResend, initReply, type Negotiated, negotiate, passthroughFlag } from './negotiation.ts'
import { invalidateAttributes, invalidateName, notifyResend } from './notifications.ts'
import { opcodes } from './opcodes.ts'
import { ReadReports } from './read-reports.ts'
import { readInit } from './requests.ts'
import { wasKilled } from './sigkill-pending.ts'

export const kernelCapabilities: TransportCapabilities = {
  seek: true,
  attributesInListings: true,
  readBytesMax,
  nativeHits: true,
  interrupts: true,
  passthrough: true,
  versionsSideBySide: true,
}

export interface KernelTransportOptions {
  /** Engine.startSession on the descriptor of the mount. */
  readonly startSession: (handlers: Omit<SessionOptions, 'threads'>) => Session
  /**
   * Write to the descriptor on a thread that answers no requests: see notifications.ts. Rejects with a SystemError.
   */
  readonly writeAside: (bytes: Uint8Array) => Promise<unknown>
  readonly backend: Backend
  /** Owners and permissions; the process's own and 0444 where they are left out. */
  readonly presentation?: Partial<Presentation>
  readonly logger: Logger
  /** The agreement of an earlier process on the same mount, or null on a new mount. */
  readonly negotiated: Negotiated | null
  /** Why the kernel must not read data files by itself, or null when it may. */
  readonly passthroughOff?: string | null
  /** The kernel reads data files for opens with O_DIRECT too; false when it is left out. */
  readonly passesDirect?: boolean
  /** The journal of requests in work; null: none. */
  readonly work?: Omit<InflightJournalOptions, 'logger'> | null
  /** Called with what is about to be agreed; INIT is answered when it has returned. */
  readonly onNegotiated?: (negotiated: Negotiated) => Promise<void> | void
  /** See DispatcherOptions; `deadlineMs` for reads too where they have none of their own. */
  readonly deadlineMs?: number
  readonly readDeadlineMs?: number | null
  readonly wasKilled?: (pid: number) => boolean
}

export interface KernelTransportGauges extends DispatcherGauges, FileSystemGauges {}

export class KernelTransport implements Transport {
  /** Settles when requests are served: what was negotiated. Rejects when the kernel's protocol is not ours. */
  readonly ready: Promise<Negotiated>
  /**
   * Resolves when the session is over: errno 0 after `stop`, ENODEV after an unmount, else the errno of the failed
   * read.
   */
  readonly ended: Promise<number>
  readonly #options: Pick<KernelTransportOptions, 'writeAside' | 'passthroughOff' | 'logger'>
  readonly #session: Session
  readonly #fileSystem: FileSystem
  readonly #passthrough: Passthrough
  #negotiated: Negotiated | null = null
  /** Until backing ids of the earlier process are closed. */
  #hasEarlierBackings = false
  readonly #dispatcher: Dispatcher
  #stopping: Promise<void> | null = null

  private constructor(options: KernelTransportOptions) {
    const ready = settlable<Negotiated>()
    const ended = settlable<number>()
    this.#options = options
    this.ready = ready.promise
    this.ended = ended.promise
    this.ready.then(
      negotiated => (this.#negotiated = negotiated),
      () => {}, // Its waiter sees it.
    )
    const kernel = {
      off: () => this.#passthroughOff(),
      readsDirect: options.passesDirect ?? false,
      openBacking: (file: StoreFile) => this.#session.openBacking(file),
      closeBacking: (id: number) => this.#session.closeBacking(id),
      hasForgotten: async (nodeId: bigint) => !this.#stopping && !(await this.#tell(invalidateAttributes(nodeId))),
    }
    const now = () => performance.now()
    this.#passthrough = new Passthrough(options.backend.passthrough, kernel, options.logger, now)
    const forwardingKernel = {
      ...kernel,
      openBacking: (fd: number) => this.#session.openBackingOf(fd),
      isTakenOver: options.negotiated !== null,
    }
    const forwarding = new Forwarding(options.backend.forwarding, forwardingKernel, options.logger, now)
    this.#fileSystem = new FileSystem({
      backend: options.backend,
      passthrough: this.#passthrough,
      forwarding,
      presentation: { ...presentationDefault(), ...options.presentation },
      binder: {
        bind: (handle, file) => this.#session.bind(handle, file),
        unbind: handle => this.#session.unbind(handle),
      },
      firstDirectoryHandle: randomBytes(8).readBigUInt64LE(),
    })
    const deadlineMs = options.deadlineMs ?? missSecondsMax * 1000
    this.#dispatcher = new Dispatcher({
      operations: new Map([...handlersOf(this.#fileSystem), [opcodes.INIT, initOperation(options, ready)]]),
      forget: (nodeId, lookups) => this.#fileSystem.forget(nodeId, lookups),
      reply: (unique, errno, bytes) => this.#session.reply(unique, errno, bytes),
      wasKilled: options.wasKilled ?? wasKilled,
      work: options.work ? new InflightJournal({ ...options.work, logger: options.logger }) : null,
      logger: options.logger,
      nowMs: () => performance.now(),
      deadlineMs,
      readDeadlineMs: options.readDeadlineMs === undefined ? deadlineMs : options.readDeadlineMs,
    })
    const reports = new ReadReports({
      take: () => this.#session.takeReports(),
      afterRequests: work => this.#dispatcher.afterRequests(work),
      listener: this.#fileSystem,
      logger: options.logger,
    })
    this.#session = options.startSession({
      onRequests: batch => this.#dispatcher.accept(batch),
      onReports: batch => reports.accept(batch),
      onEnd: errno => {
        this.#dispatcher.stop()
        ready.reject(new Error('the session ended before INIT'))
        ended.resolve(errno)
      },
    })
    if (options.negotiated) this.#takeOver(options.negotiated, ready)
  }

  /** Serve a mount. Requests that are waiting are answered from the next turn of the event loop on. */
  static start(options: KernelTransportOptions): KernelTransport {
    return new KernelTransport(options)
  }

  /** The time for which later requests may wait for their answers. */
  setDeadlines(deadlines: Deadlines): void {
    this.#dispatcher.setDeadlines(deadlines)
  }

  gauges(): KernelTransportGauges {
    return { ...this.#dispatcher.gauges(), ...this.#fileSystem.gauges() }
  }

  /**
   * The kernel itself is asked where we do not know it: it may have learned of the node from an earlier process. It
   * knows a node as long as that is open, mapped, or in its cache of names.
   */
  async knows(nodeId: bigint, lost: SupersededEntry | null): Promise<boolean> {
    if (this.#stopping) return true
    const tell = (node: bigint) => this.#tell(invalidateAttributes(node))
    let known = this.#fileSystem.knows(nodeId) || (await tell(nodeId))
    for (const other of KernelReads.nodesOf(nodeId)) known ||= await tell(other)
    // It may never be looked up again: without this the kernel would keep it as long as it has memory.
    const end = lost ? lost.name.lastIndexOf('/') + 1 : 0
    const directoryId =
      lost && this.#fileSystem.directoryId({ directory: lost.directory, prefix: lost.name.slice(0, end) })
    if (known && lost && directoryId !== null) await this.#tell(invalidateName(directoryId, lost.name.slice(end)))
    return known
  }

  /** Why the kernel reads no data file by itself, or null when it does. */
  get passthroughOff(): string | null {
    return this.#passthrough.off
  }

  rebind(): Promise<void> {
    return this.#fileSystem.rebind()
  }

  /** Counters of the native threads. */
  counters(): SessionCounters {
    return this.#session.counters()
  }

  takeSamples(): Float64Array {
    return this.#session.takeSamples()
  }

  latencies(): SessionLatencies {
    return this.#session.latencies()
  }

  /** End the session and release all that is open; what waits for an answer stays unanswered. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    this.#dispatcher.stop()
    this.#fileSystem.close()
    await this.#session.stop()
  }

  /** @returns whether the kernel knows what it was told of; true also when it could not be told */
  async #tell(notification: Uint8Array): Promise<boolean> {
    try {
      await this.#options.writeAside(notification)
      return true
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== 'ENOENT'
    }
  }

  #passthroughOff(): string | null {
    if (this.#options.passthroughOff != null) return this.#options.passthroughOff
    if (!this.#negotiated) return 'nothing is agreed yet'
    if (!(this.#negotiated.flags2 & passthroughFlag)) return 'the kernel does not offer it (Linux 6.9 and newer do)'
    return this.#hasEarlierBackings ? 'a worker has just taken over: in some seconds' : null
  }

  /** Those of the earlier process would hold their files for as long as the mount lives. */
  #closeBackings(): void {
    if (this.#stopping) return
    this.#hasEarlierBackings = false
    try {
      this.#session.closeBackings()
    } catch (error) {
      this.#options.logger.warn(
        { err: error },
        'images that an earlier worker gave to the kernel stay held until the unmount',
      )
    }
  }

  #takeOver(negotiated: Negotiated, ready: Settlable<Negotiated>): void {
    if (negotiated.flags2 & passthroughFlag) {
      // A reader whose open the earlier process has answered may still come to take its backing file.
      this.#hasEarlierBackings = true
      setTimeout(() => this.#closeBackings(), passthroughRetryMs).unref()
    }
    if (negotiated.flags2 & hasResend) this.#session.notify(notifyResend, null)
    ready.resolve(negotiated)
  }
}

/** INIT is answered when the keeper of the agreement has been told of it. */
function initOperation(
  { onNegotiated, passthroughOff, logger }: KernelTransportOptions,
  ready: Settlable<Negotiated>,
): RequestHandler {
  return async (_call, body) => {
    const offer = readInit(body)
    try {
      const negotiated = negotiate(offer, passthroughOff == null)
      if (!negotiated) return { bytes: initReply(null), undo: null }
      await onNegotiated?.(negotiated)
      logger.info({ offer, negotiated }, 'agreed with the kernel')
      ready.resolve(negotiated)
      return { bytes: initReply(negotiated), undo: null }
    } catch (error) {
      logger.error({ offer, err: error }, `no agreement with the kernel: ${messageOf(error)}`)
      ready.reject(error)
      throw error
    }
  }
}

interface Settlable<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

function settlable<T>(): Settlable<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
