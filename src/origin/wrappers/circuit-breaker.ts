/**
 * Circuit breaker: an Origin that leaves one that is away in peace. Each try needs leave of its {@link CircuitState},
 * and reports its outcome.
 *
 * Reads wait for that leave, since a guest would rather wait than fail; names are refused at once (`origin-away`),
 * since the index knows them. Only failures of the origin as a whole count against it: no connection, no answer in
 * time, a failure of its own. A missing or changed image, a refused one, and an answer that cannot be used are answers.
 * A failed optional call counts as given up: what it asked for may be all that is wrong.
 *
 * It belongs below retries: each try is judged.
 */

import { callSafely } from '../../async/on-settled.ts'
import { isCacheError, mayPass } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { endingWith } from '../../base/trace.ts'
import type { Origin, ReadOptions, TakeBytes } from '../contract/origin.ts'
import type { CircuitState, CircuitTicket } from './circuit-state.ts'
import { ForwardingOrigin, type OriginCall, type OriginOperation, readWholeOf } from './forwarding-origin.ts'

export class CircuitBreakerOrigin extends ForwardingOrigin {
  readonly #availability: CircuitState

  constructor(inner: Origin, availability: CircuitState) {
    super(inner)
    this.#availability = availability
  }

  override read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const call = () => this.inner.read(image, offset, target, options)
    const { signal, isOptional } = options
    const ticket = signal.aborted ? null : this.#availability.enterAtOnce()
    if (ticket) return judge(ticket, call, isOptional)
    const queued = options.trace?.begin('queue', { 'parentfs.queue': 'outage' })
    return endingWith(queued, this.#availability.enter(signal)).then(ticket => judge(ticket, call, isOptional))
  }

  /** Judged by its first bytes: the last ones may be hours later. */
  override async readWhole(image: Image, take: TakeBytes, options: ReadOptions): Promise<void> {
    const ticket = await this.#availability.enter(options.signal)
    let answered = () => {}
    const first = new Promise<void>(resolve => (answered = resolve))
    const takeFirst: TakeBytes = bytes => {
      answered()
      return take(bytes)
    }
    const reading = readWholeOf(this.inner, image, takeFirst, options)
    void judge(ticket, () => Promise.race([first, reading]), options.isOptional).catch(() => {}) // The caller sees it.
    await reading
  }

  /** Extents are not judged: no origin asks a remote side for them. */
  protected override async forward<T>(
    operation: OriginOperation,
    call: OriginCall<T>,
    options: ReadOptions,
  ): Promise<T> {
    const forwarded = () => call(this.inner, options)
    return operation === 'extentAt' ? forwarded() : judge(this.#availability.enterNow(), forwarded, options.isOptional)
  }
}

function judge<T>(ticket: CircuitTicket, call: () => Promise<T>, isOptional = false): Promise<T> {
  const trying = callSafely(call)
  trying.then(
    () => ticket.answered(),
    error => {
      if (mayPass(error) && !isOptional) ticket.failed(error)
      else if (mayPass(error) || !isCacheError(error) || isCacheError(error, 'aborted', 'closed')) ticket.cancelled()
      else ticket.answered()
    },
  )
  return trying
}
