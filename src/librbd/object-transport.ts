/**
 * Transport of the object view: a session on its descriptor of /dev/fuse, which answers hits by node id, and the
 * dispatcher for all else.
 */

import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Deadlines } from '../fuse/filesystem/transport.ts'
import { Dispatcher } from '../fuse/kernel/dispatcher.ts'
import type { RequestHandler, RequestHandlers } from '../fuse/kernel/handler.ts'
import { hasResend, initReply, type Negotiated, negotiate } from '../fuse/kernel/negotiation.ts'
import { notifyResend } from '../fuse/kernel/notifications.ts'
import { opcodes } from '../fuse/kernel/opcodes.ts'
import { type ReadReportListener, ReadReports } from '../fuse/kernel/read-reports.ts'
import { readInit } from '../fuse/kernel/requests.ts'
import { wasKilled } from '../fuse/kernel/sigkill-pending.ts'
import type { Session, SessionCounters, SessionOptions } from '../native/addon.ts'

export interface ObjectTransportOptions {
  /** Engine.startSession on the descriptor of the view. */
  readonly startSession: (handlers: Omit<SessionOptions, 'threads'>) => Session
  readonly handlers: RequestHandlers
  readonly reports: ReadReportListener
  readonly logger: Logger
  readonly deadlines: Deadlines
  /** The agreement of an earlier worker, or null on a new mount. */
  readonly negotiated: Negotiated | null
  /** Called with what is about to be agreed; INIT is answered when it has returned. */
  readonly onNegotiated: (negotiated: Negotiated) => Promise<void>
  /** The session is over: the view has been unmounted, or was stopped. */
  readonly onEnd: () => void
}

export class ObjectTransport {
  readonly #options: ObjectTransportOptions
  readonly #dispatcher: Dispatcher
  readonly session: Session
  #stopping: Promise<void> | null = null

  constructor(options: ObjectTransportOptions) {
    this.#options = options
    this.#dispatcher = new Dispatcher({
      operations: new Map([...options.handlers, [opcodes.INIT, this.#init()]]),
      forget: () => {}, // Nothing is remembered.
      reply: (unique, errno, bytes) => this.session.reply(unique, errno, bytes),
      wasKilled,
      work: null,
      logger: options.logger,
      nowMs: () => performance.now(),
      ...options.deadlines,
    })
    const reports = new ReadReports({
      take: () => this.session.takeReports(),
      afterRequests: work => this.#dispatcher.afterRequests(work),
      listener: options.reports,
      logger: options.logger,
    })
    this.session = options.startSession({
      byObject: true,
      onRequests: batch => this.#dispatcher.accept(batch),
      onReports: batch => reports.accept(batch),
      onEnd: () => {
        this.#dispatcher.stop()
        options.onEnd()
      },
    })
    const { negotiated } = options
    if (negotiated && negotiated.flags2 & hasResend) this.session.notify(notifyResend, null)
  }

  setDeadlines(deadlines: Deadlines): void {
    this.#dispatcher.setDeadlines(deadlines)
  }

  counters(): SessionCounters {
    return this.session.counters()
  }

  /** End the session; what waits for an answer stays unanswered. Idempotent. */
  stop(): Promise<void> {
    this.#dispatcher.stop()
    this.#stopping ??= this.session.stop()
    return this.#stopping
  }

  #init(): RequestHandler {
    const { onNegotiated, logger } = this.#options
    return async (_call, body) => {
      const offer = readInit(body)
      try {
        const negotiated = negotiate(offer, false)
        if (negotiated) await onNegotiated(negotiated)
        return { bytes: initReply(negotiated), undo: null }
      } catch (error) {
        logger.error({ offer, err: error }, `no agreement with the kernel on the object view: ${messageOf(error)}`)
        throw error
      }
    }
  }
}
