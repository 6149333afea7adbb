/**
 * Waiting, but not for ever.
 */

/**
 * The value of `promise`, unless it takes longer than `ms`. What comes too late is dropped, a late rejection too.
 * @throws what `late` makes
 */
export function withTimeout<T>(ms: number, promise: Promise<T>, late: () => Error): Promise<T> {
  return valueWithin(ms, promise, () => {
    throw late()
  })
}

/** The same with what `late` returns in the place of a value that takes longer. */
export async function valueWithin<T>(ms: number, promise: Promise<T>, late: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let turn: NodeJS.Immediate | undefined
  const elapsed = new Promise<void>(resolve => {
    timer = setTimeout(() => {
      // One turn more: after a long one of the event loop, what has come in time is seen only now.
      turn = setImmediate(resolve)
    }, ms)
  })
  try {
    return await Promise.race([promise, elapsed.then(late)])
  } finally {
    clearTimeout(timer)
    clearImmediate(turn)
  }
}
