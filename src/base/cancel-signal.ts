/**
 * Cancel signal: fires when a call is no longer waited for. It has the four members of an AbortSignal that the rooms
 * use, so that an AbortSignal is one. Others (AbortSignal.any, other events) do not compile.
 */

/** Called once, when the signal fires. */
export type CancelListener = (() => void) | { handleEvent(): void }

export interface CancelSignal {
  readonly aborted: boolean
  /** The cause, once it has fired. */
  readonly reason: unknown
  addEventListener(type: 'abort', listener: CancelListener, options?: { readonly once: boolean }): void
  removeEventListener(type: 'abort', listener: CancelListener): void
}
