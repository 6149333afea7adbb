/**
 * Waiting, but not for ever.
 */

/**
 * The value of `promise`, unless it takes longer than `ms`. What comes too late is dropped, a late rejection too.
 * @throws what `late` makes
 */
export async function withTimeout<T>(ms: number, promise: Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms)
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
  }
}
