/** Timers as functions, which tests replace by their own. Each returns its cancellation, which is idempotent. */

/** Runs `work` once after `ms`. */
export type RunAfter = (ms: number, work: () => void) => () => void
/** Runs `work` every `ms`. */
export type RunEvery = (ms: number, work: () => void) => () => void

export const runAfter: RunAfter = (ms, work) => {
  const timer = setTimeout(work, ms)
  return () => clearTimeout(timer)
}

/** The same a turn later: after a long one of the event loop, what has come in time is seen only then. */
export function runAfterTurn(ms: number, work: () => void, after = runAfter): () => void {
  let turn: NodeJS.Immediate | undefined
  const cancel = after(ms, () => {
    turn = setImmediate(work)
  })
  return () => {
    cancel()
    clearImmediate(turn)
  }
}

/** No reason for the process to stay. */
export const runEvery: RunEvery = (ms, work) => {
  const timer = setInterval(work, ms).unref()
  return () => clearInterval(timer)
}
