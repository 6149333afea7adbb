/**
 * Hearing of the end of work without waiting for it: for what only notes that a call is over, and passes on what it brought. An
 * async function in its place would cost each call a promise, a context and two turns of the queue of microtasks more.
 */

/** Begin `work`; what it throws at once it rejects with. */
export function callSafely<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work()
  } catch (error) {
    return Promise.reject(error)
  }
}

/**
 * Call `end` when `work` has settled, before whoever waits for it goes on.
 * @param end must not throw
 * @returns `work`
 */
export function onSettled<T>(work: Promise<T>, end: () => void): Promise<T> {
  work.then(end, end)
  return work
}
