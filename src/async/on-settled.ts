/**
 * Callbacks on a promise without an async function around it: saves one promise, one context and two microtasks for
 * each wrapper and call.
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
 * Call `end` when `work` has settled, before its waiters go on.
 * @param end must not throw
 * @returns `work`
 */
export function onSettled<T>(work: Promise<T>, end: () => void): Promise<T> {
  work.then(end, end)
  return work
}
