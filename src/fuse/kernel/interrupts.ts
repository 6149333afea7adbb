/**
 * INTERRUPT: ends a request whose reader was killed, and no other.
 *
 * The kernel interrupts a waiting request once, for any signal. A reader with a harmless timer that got EINTR each time
 * would never read anything, so a request ends only when its thread has been killed; until then we look again, since no
 * second INTERRUPT comes for a later kill. An INTERRUPT can overtake its request: the kernel is asked to repeat it.
 *
 * The kernel never tells of asynchronous reads (O_DIRECT, read-ahead). So the readers of requests that wait for long
 * are looked at now and then, each once for all it waits for.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'
import {
  interruptRepeatMs,
  interruptsWaitingMax,
  killedLookMsMax,
  killedLookMsMin,
  killedSweepMax,
  killedSweepMs,
} from './limits.ts'
import type { PendingRequest } from './pending-request.ts'

export interface InterruptsOptions {
  /** The request that waits for an answer, if we know it. */
  readonly find: (unique: bigint) => PendingRequest | undefined
  readonly wasKilled: (pid: number) => boolean
  /** End a request whose reader was killed. */
  readonly end: (call: PendingRequest) => void
  /** Ask the kernel to send the INTERRUPT of this unique again. */
  readonly repeat: (unique: bigint) => void
  /** The requests that wait, the longest first. */
  readonly waiting: () => Iterable<PendingRequest>
  /** Milliseconds, never going back. */
  readonly nowMs: () => number
}

export class Interrupts {
  readonly #options: InterruptsOptions
  /** Timers of requests that were interrupted and not killed, and of INTERRUPTs to be repeated. */
  readonly #looks = new Map<PendingRequest, NodeJS.Timeout>()
  readonly #repeats = new Set<NodeJS.Timeout>()
  #dropped = 0
  readonly #sweeps = new PeriodicTask(killedSweepMs, () => this.#sweepOnce())

  constructor(options: InterruptsOptions) {
    this.#options = options
  }

  /** Interrupted requests that are looked at again and again. */
  get watched(): number {
    return this.#looks.size
  }

  /** INTERRUPTs of unknown requests dropped because too many were waiting. */
  get dropped(): number {
    return this.#dropped
  }

  /**
   * @param unique of the INTERRUPT itself
   * @param target of the request to interrupt
   */
  interrupt(unique: bigint, target: bigint): void {
    const call = this.#options.find(target)
    if (!call) this.#repeatSoon(unique)
    else if (!this.#looks.has(call)) this.#look(call, killedLookMsMin)
  }

  /** Something waits: sweep until nothing does. */
  sweepWhileAnyWaits(): void {
    this.#sweeps.start()
  }

  /** The request has been answered: look no more. */
  forget(call: PendingRequest): void {
    clearTimeout(this.#looks.get(call))
    this.#looks.delete(call)
  }

  stop(): void {
    this.#sweeps.stop()
    for (const timer of [...this.#looks.values(), ...this.#repeats]) clearTimeout(timer)
    this.#looks.clear()
    this.#repeats.clear()
  }

  #sweepOnce(): void {
    const { waiting, wasKilled, nowMs, end } = this.#options
    const killed = new Map<number, boolean>()
    const ending: PendingRequest[] = []
    let waits = false
    for (const call of waiting()) {
      waits = true
      const { pid } = call.header
      if (nowMs() - call.waitsSinceMs < killedSweepMs) break
      if (!killed.has(pid) && killed.size < killedSweepMax) killed.set(pid, wasKilled(pid))
      if (killed.get(pid)) ending.push(call)
    }
    for (const call of ending) end(call)
    if (!waits) this.#sweeps.stop()
  }

  #look(call: PendingRequest, pauseMs: number): void {
    if (this.#options.wasKilled(call.header.pid)) {
      this.#looks.delete(call)
      this.#options.end(call)
      return
    }
    const again = setTimeout(() => this.#look(call, Math.min(2 * pauseMs, killedLookMsMax)), pauseMs)
    this.#looks.set(call, again)
  }

  /**
   * Not at once: a native thread may have the request and wait for the disk with it, and the kernel repeats without a
   * pause. If the request was answered meanwhile, the kernel knows, and nothing comes again.
   */
  #repeatSoon(unique: bigint): void {
    if (this.#repeats.size >= interruptsWaitingMax) {
      this.#dropped++
      return
    }
    const timer = setTimeout(() => {
      this.#repeats.delete(timer)
      this.#options.repeat(unique)
    }, interruptRepeatMs)
    this.#repeats.add(timer)
  }
}
