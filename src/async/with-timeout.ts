/**
 * Waiting, but not for ever.
 */
import { runAfterTurn } from './timers.ts'

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
  let cancel!: () => void
  const elapsed = new Promise<void>(resolve => {
    cancel = runAfterTurn(ms, resolve)
  })
  try {
    return await Promise.race([promise, elapsed.then(late)])
  } finally {
    cancel()
  }
}
