/** Time-out of a connection. */
import type { Socket } from 'node:net'
import { CacheError } from '../../../base/errors.ts'

/**
 * Resolves when it is there. Its owner listens for its errors.
 * @throws CacheError origin-unreachable when that takes longer than `msMax`, and then the socket is destroyed; the socket's own error
 */
export function connectWithin(socket: Socket, msMax: number, { origin }: URL): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(new CacheError('origin-unreachable', `${origin}: no connection in ${msMax} ms`))
    }, msMax)
    let failure: Error | null = null
    socket.once('error', error => {
      failure = error
    })
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.once('close', () => {
      clearTimeout(timer)
      reject(failure ?? new CacheError('origin-failed', `${origin}: the connection was lost`))
    })
  })
}
