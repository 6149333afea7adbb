/**
 * An Origin that leaves one that is away in peace: each try needs leave of its {@link CircuitState}, and tells what came of it.
 *
 * Reads wait for that leave, since a guest would rather wait than fail; names are refused at once (`origin-away`), since the index
 * knows them. Only what says something of the origin as a whole counts against it: no connection, no answer in time, a failure
 * of its own. A missing or changed image, a refused one, and an answer that cannot be used are answers.
 *
 * It belongs below retries: each try is judged.
 */

import { callSafely } from '../../async/on-settled.ts'
import { isCacheError, mayPass } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import type { Digest } from '../contract/digest.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'
import type { CircuitState, CircuitTicket } from './circuit-state.ts'

export class CircuitBreakerOrigin implements Origin {
  readonly url: string
  readonly #inner: Origin
  readonly #availability: CircuitState

  constructor(inner: Origin, availability: CircuitState) {
    this.url = inner.url
    this.#inner = inner
    this.#availability = availability
  }

  async list(options: ReadOptions): Promise<readonly string[] | null> {
    return await judge(this.#availability.enterNow(), () => this.#inner.list(options))
  }

  async lookup(key: string, options: ReadOptions): Promise<ImageFacts> {
    return await judge(this.#availability.enterNow(), () => this.#inner.lookup(key, options))
  }

  read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const call = () => this.#inner.read(image, offset, target, options)
    const { signal } = options
    const ticket = signal.aborted ? null : this.#availability.enterAtOnce()
    return ticket ? judge(ticket, call) : this.#availability.enter(signal).then(ticket => judge(ticket, call))
  }

  /** Not judged: no origin asks anybody else for it. */
  extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    return this.#inner.extentAt(image, offset, options)
  }

  async digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return await judge(this.#availability.enterNow(), () => this.#inner.digest(image, options))
  }

  close(): Promise<void> {
    this.#availability.close()
    return this.#inner.close()
  }
}

function judge<T>(ticket: CircuitTicket, call: () => Promise<T>): Promise<T> {
  const trying = callSafely(call)
  trying.then(
    () => ticket.answered(),
    error => {
      if (mayPass(error)) ticket.failed(error)
      else if (!isCacheError(error) || isCacheError(error, 'aborted', 'closed')) ticket.cancelled()
      else ticket.answered()
    },
  )
  return trying
}
