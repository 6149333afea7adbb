/** What a thread that receives ranges is told, and what it says: see range-thread.ts. */
import type { Headers } from './http-headers.ts'

export type ToRangeThread =
  | {
      readonly kind: 'ask'
      readonly id: number
      readonly url: string
      readonly headers: Readonly<Record<string, string>>
      /** In memory that both threads see. */
      readonly target: Uint8Array
    }
  /** Nobody wants it any more: `over` comes when nothing is written to its target from then on. */
  | { readonly kind: 'leave'; readonly id: number }

export type FromRangeThread =
  /** `isInPlace`: the body is on its way into the target; else the exchange is over. */
  | {
      readonly kind: 'head'
      readonly id: number
      readonly status: number
      readonly headers: Headers
      readonly isInPlace: boolean
    }
  /** It is to be asked for elsewhere. */
  | { readonly kind: 'decline'; readonly id: number }
  /** More of the body has come. */
  | { readonly kind: 'progress'; readonly id: number; readonly bytes: number }
  /** All of the body is in its place (`error` null), or it never will be. */
  | { readonly kind: 'over'; readonly id: number; readonly error: ThreadError | null }

/** An error as it passes between threads: what a CacheError says it is, else the code of Node. */
export interface ThreadError {
  readonly code: string
  readonly message: string
}
