/**
 * Dispatches raw requests and sends replies: every request but FORGET and INTERRUPT is answered exactly once, whatever
 * happens below.
 *
 * A thrown error becomes an errno. A waiting request is registered until it is answered, so that an INTERRUPT finds it
 * and a deadline ends it. Results that come after the answer are dropped, and undone.
 */

import { SlicedQueue } from '../../async/loop-slicer.ts'
import type { Logger } from '../../base/logger.ts'
import { errnoOf, nobodyWaits, unmounted } from '../filesystem/errno.ts'
import { FailureLog } from '../filesystem/failure-log.ts'
import { FsError } from '../filesystem/fs-error.ts'
import type { Deadlines } from '../filesystem/transport.ts'
import type { Answer, RequestHandlers } from './handler.ts'
import { unsupported } from './handlers.ts'
import type { InflightJournal } from './inflight-journal.ts'
import { Interrupts } from './interrupts.ts'
import { nameOfOpcode, opcodes } from './opcodes.ts'
import { PendingRequest } from './pending-request.ts'
import { readRequests } from './request-batch.ts'
import { RequestReader } from './request-reader.ts'
import * as request from './requests.ts'

export interface DispatcherOptions extends Deadlines {
  readonly operations: RequestHandlers
  readonly forget: (nodeId: bigint, lookups: number) => void
  /** Session.reply */
  readonly reply: (unique: bigint, errno: number, bytes: Uint8Array | null) => number
  readonly wasKilled: (pid: number) => boolean
  /** Null: nothing is noted of what is in work. */
  readonly work: InflightJournal | null
  readonly logger: Logger
  readonly nowMs: () => number
}

/** Counters since the start, but `inFlight` and `interrupted`: how many there are now. */
export interface DispatcherGauges {
  readonly inFlight: number
  readonly interrupted: number
  /** Requests by name of their opcode; natively answered READs are not among them. */
  readonly requests: Readonly<Record<string, number>>
  /** Requests that were answered with an errno, whatever the reason; the following three are among them. */
  readonly failed: number
  readonly malformed: number
  readonly expired: number
  readonly killed: number
  /** Replies that the kernel no longer waited for. */
  readonly unwanted: number
  readonly interruptsDropped: number
  readonly failuresNotLogged: number
}

export class Dispatcher {
  readonly #options: DispatcherOptions
  #deadlines: Deadlines
  readonly #calls = new Map<bigint, PendingRequest>()
  readonly #interrupts: Interrupts
  readonly #log: FailureLog
  /** Requests that came together. */
  readonly #slicer = new SlicedQueue()
  readonly #requests = new Map<number, number>()
  readonly #counts = { failed: 0, malformed: 0, expired: 0, killed: 0, unwanted: 0 }
  #stopped = false

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#deadlines = options
    this.#log = new FailureLog(options.logger, options.nowMs)
    options.work?.onResume(request => this.#slicer.run(() => this.#acceptOne(request, 0)))
    this.#interrupts = new Interrupts({
      find: unique => this.#calls.get(unique),
      wasKilled: options.wasKilled,
      end: call => {
        this.#counts.killed++
        this.#giveUp(call, new FsError('killed'))
      },
      repeat: unique => this.#send(unique, new FsError('not-yet-known'), null),
      waiting: () => this.#calls.values(),
      nowMs: options.nowMs,
    })
  }

  /** The time for which later requests may wait. */
  setDeadlines(deadlines: Deadlines): void {
    this.#deadlines = deadlines
  }

  /** A batch as Session hands it over. Its requests are begun in order, over several iterations. */
  accept(batch: Uint8Array): void {
    const lost = readRequests(batch, (bytes, waitedMs) => this.#slicer.run(() => this.#acceptOne(bytes, waitedMs)))
    if (lost > 0) this.#misframed(lost)
  }

  /** Do work that no request waits for, behind the requests that have come; not at all once it is stopped. */
  afterRequests(work: () => void): void {
    this.#slicer.run(() => !this.#stopped && work())
  }

  gauges(): DispatcherGauges {
    const requests: Record<string, number> = {}
    for (const [opcode, count] of this.#requests) {
      const name = nameOfOpcode(opcode)
      requests[name] = (requests[name] ?? 0) + count
    }
    return {
      inFlight: this.#calls.size,
      interrupted: this.#interrupts.watched,
      requests,
      ...this.#counts,
      interruptsDropped: this.#interrupts.dropped,
      failuresNotLogged: this.#log.suppressed,
    }
  }

  /**
   * Answer nothing from now on, and end the work below. The next process that serves the mount gets the open requests
   * again.
   */
  stop(): void {
    this.#stopped = true
    this.#interrupts.stop()
    for (const call of this.#calls.values()) {
      this.#settle(call)
      call.abort(new FsError('expired', 'the filesystem has stopped'))
    }
  }

  #acceptOne(bytes: Uint8Array, waitedMs: number): void {
    if (this.#stopped) return
    const body = new RequestReader(bytes)
    const header = request.readHeader(body)
    this.#count(header.opcode)
    if (this.#needsNoAnswer(header, body)) return
    const verdict = this.#options.work?.begin(header.unique, bytes) ?? 'go'
    if (verdict === 'later') return
    const call = new PendingRequest(header, waitedMs)
    if (verdict === 'refuse') {
      this.#fail(call, new FsError('poisonous'))
      return
    }
    const operation = this.#options.operations.get(header.opcode) ?? unsupported
    try {
      const answer = operation(call, body)
      if (answer instanceof Promise) this.#wait(call, answer)
      else this.#answer(call, answer)
    } catch (error) {
      this.#fail(call, error)
    }
  }

  /** FORGET, BATCH_FORGET and INTERRUPT; in a broken one of them there is nothing to answer either. */
  #needsNoAnswer(header: request.RequestHeader, body: RequestReader): boolean {
    try {
      switch (header.opcode) {
        case opcodes.FORGET:
          this.#options.forget(header.nodeId, request.readForget(body))
          return true
        case opcodes.BATCH_FORGET:
          for (const { nodeId, lookups } of request.readBatchForget(body)) this.#options.forget(nodeId, lookups)
          return true
        case opcodes.INTERRUPT:
          this.#interrupts.interrupt(header.unique, request.readInterrupt(body))
          return true
        default:
          return false
      }
    } catch (error) {
      this.#countFailure(header, error)
      return true
    }
  }

  #wait(call: PendingRequest, answer: Promise<Answer>): void {
    this.#calls.set(call.header.unique, call)
    call.waitsSinceMs = this.#options.nowMs()
    this.#interrupts.sweepWhileAnyWaits()
    const { deadlineMs, readDeadlineMs } = this.#deadlines
    const ms = call.header.opcode === opcodes.READ ? readDeadlineMs : deadlineMs
    if (ms !== null) call.deadline = setTimeout(() => this.#expire(call, ms), ms)
    answer.then(
      value => {
        this.#answer(call, value)
        call.release()
      },
      error => {
        this.#fail(call, error)
        call.release()
      },
    ) // Neither throws.
  }

  #answer(call: PendingRequest, { bytes, undo }: Answer): void {
    if (call.answered) {
      undo?.()
      return
    }
    this.#settle(call)
    const errno = this.#send(call.header.unique, null, bytes)
    if (errno !== 0) undo?.()
  }

  #fail(call: PendingRequest, error: unknown): void {
    if (call.answered) return
    this.#settle(call)
    this.#countFailure(call.header, error)
    this.#send(call.header.unique, error, null)
  }

  #expire(call: PendingRequest, ms: number): void {
    this.#counts.expired++
    this.#giveUp(call, new FsError('expired', `no answer in ${ms} ms`))
  }

  /** Answer in place of the rooms below, and tell them that the answer is not wanted. */
  #giveUp(call: PendingRequest, refusal: FsError): void {
    this.#fail(call, refusal)
    call.abort(refusal)
  }

  #settle(call: PendingRequest): void {
    call.answered = true
    clearTimeout(call.deadline)
    this.#interrupts.forget(call)
    if (this.#calls.get(call.header.unique) === call) this.#calls.delete(call.header.unique)
  }

  /** @returns the errno of the write */
  #send(unique: bigint, error: unknown, bytes: Uint8Array | null): number {
    this.#options.work?.end(unique)
    const errno = this.#options.reply(unique, error === null ? 0 : errnoOf(error), bytes)
    if (errno === nobodyWaits || errno === unmounted) this.#counts.unwanted++
    else if (errno !== 0) this.#options.logger.error({ unique: String(unique), errno }, 'the kernel refused a reply')
    return errno
  }

  #count(opcode: number): void {
    this.#requests.set(opcode, (this.#requests.get(opcode) ?? 0) + 1)
  }

  #countFailure(header: request.RequestHeader, error: unknown): void {
    this.#counts.failed++
    if (error instanceof FsError && error.code === 'malformed') this.#counts.malformed++
    const { opcode, nodeId, pid: readerPid } = header
    this.#log.failed({ opcode: nameOfOpcode(opcode), nodeId: String(nodeId), readerPid }, error)
  }

  /** The rest of a batch that has lost its frame: only a bug makes one, and there is no request to answer. */
  #misframed(bytes: number): void {
    this.#counts.malformed++
    this.#options.logger.error({ bytes }, 'a batch of requests has lost its frame')
  }
}
