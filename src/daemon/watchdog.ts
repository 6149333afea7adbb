/**
 * Keeps a service manager's watchdog quiet for as long as the server answers.
 *
 * It is the keeper that says so, being the process that the manager knows; but it says so only when the server's event loop has
 * answered since: a keeper that is well beside a server that hangs is no reason to be left alone.
 */
import { pingsPerWatchdog } from '../limits.ts'
import type { ServerProcess } from './server-process.ts'
import type { ServiceManager } from './service-manager.ts'

/** @returns a function that ends it */
export function feedWatchdog(
  server: Pick<ServerProcess, 'send' | 'onMessage'>,
  { watchdogMs, alive }: Pick<ServiceManager, 'watchdogMs' | 'alive'>,
): () => void {
  if (watchdogMs === null) return () => {}
  // One at a time: a server that hangs is not sent a heap of them.
  let isAsked = false
  server.onMessage(message => {
    if (message.type !== 'pong') return
    isAsked = false
    alive()
  })
  const ask = () => {
    if (isAsked) return
    isAsked = true
    server.send({ type: 'ping' })
  }
  ask()
  const timer = setInterval(ask, watchdogMs / pingsPerWatchdog)
  return () => clearInterval(timer)
}
