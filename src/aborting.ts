/** A signal of one's own that fires with another one too. */

export interface Aborting {
  readonly signal: AbortSignal
  /** Fire it. */
  readonly abort: () => void
  /** The other signal is listened to no more. To be called when the work is over, however it ended. */
  readonly end: () => void
}

/** Not AbortSignal.any: what that leaves behind stays for as long as the other signal lives. */
export function abortingWith(caller: AbortSignal): Aborting {
  const controller = new AbortController()
  const leave = () => controller.abort(caller.reason)
  if (caller.aborted) leave()
  else caller.addEventListener('abort', leave, { once: true })
  return {
    signal: controller.signal,
    abort: () => controller.abort(),
    end: () => caller.removeEventListener('abort', leave),
  }
}
