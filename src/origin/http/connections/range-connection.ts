/** A connection to a web server on which bodies of ranges are received in place, one request at a time. */

import type { TimedPhase } from '../protocol/exchange-timeout.ts'
import type { HttpHead } from '../protocol/response-head.ts'

export interface RangeConnection {
  /** Settles when it can be used. */
  readonly ready: Promise<void>
  /** Has {@link ready} resolved? */
  readonly isReady: boolean
  /** Has it answered before? Then its server may have closed it meanwhile, which nobody is to blame for. */
  readonly isUsed: boolean
  readonly isOpen: boolean
  /** Is the body that was asked for arriving in its place, or all there? */
  readonly isReceiving: boolean
  /** Did anything of the answer arrive? */
  readonly hasAnswered: boolean

  /**
   * Send a request whose body, if it has the length of `target`, goes into that.
   * @returns the head
   */
  ask(request: string, target: Uint8Array, watch: TimedPhase): Promise<HttpHead>
  /** After {@link ask}: resolves when all of the body is in its place. */
  body(): Promise<void>
  /** The exchange is over. @returns whether another one may follow */
  end(): boolean
  /** Nothing is written into anybody's memory from now on. */
  destroy(error: unknown): void
}

/** A request under way. */
export interface Exchange {
  readonly target: Uint8Array
  readonly watch: TimedPhase
  /** Bytes of the body that are known to be in `target`; -1 until the head has arrived. */
  at: number
  readonly onHead: (head: HttpHead) => void
  onBody: () => void
  fail: (error: unknown) => void
}

/** Has all of the body arrived? */
export function isWhole({ at, target }: Exchange): boolean {
  return at === target.length
}

/** Resolves when all of the body is in its place; rejects with `error` where there is one, and with what the exchange fails with. */
export function bodyOf(exchange: Exchange | null, error: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    if (exchange && isWhole(exchange)) return resolve()
    if (!exchange || error !== null) return reject(error)
    exchange.onBody = resolve
    exchange.fail = reject
  })
}
