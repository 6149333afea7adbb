/** Time-out of a connection. */
import type { Socket } from 'node:net'
import { CacheError } from '../../../base/errors.ts'

/**
 * Resolves when `event` says that it is there and `prepare` has made it ready. Its owner listens for its errors.
 * @throws CacheError origin-unreachable when that takes longer than `msMax`, and then the socket is destroyed; the
 * socket's own error, and what `prepare` fails with
 */
export function connectWithin(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  msMax: number,
  { origin }: URL,
  prepare: () => Promise<void> = async () => {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(new CacheError('origin-unreachable', `${origin}: no connection in ${msMax} ms`))
    }, msMax)
    let failure: Error | null = null
    socket.once('error', error => {
      failure = error
    })
    socket.once(event, () => {
      const ready = () => {
        clearTimeout(timer)
        resolve()
      }
      prepare().then(ready, error => socket.destroy(error))
    })
    socket.once('close', () => {
      clearTimeout(timer)
      reject(failure ?? new CacheError('origin-failed', `${origin}: the connection was lost`))
    })
  })
}
