/**
 * Domain of a test: the errors that nobody caught within it, or in what it began and did not wait for, are told to it.
 *
 * Stands in for the package async-hook-domain in the tap that `make` bundles: that one's hooks follow each promise until
 * it is collected. Source: async-hook-domain 4.0; the Node.js manual, "Process: Event 'uncaughtExceptionMonitor'".
 */
import { AsyncLocalStorage } from 'node:async_hooks'

const domains = new AsyncLocalStorage<Domain>()

export class Domain {
  readonly onerror: (error: unknown, type: string) => void
  readonly #around = domains.getStore()
  #isDestroyed = false

  /** Errors of the calling asynchronous resource are its own from here on. */
  constructor(onerror: (error: unknown, type: string) => void) {
    this.onerror = onerror
    domains.enterWith(this)
  }

  /** Further errors belong to the domain around it. */
  destroy(): void {
    this.#isDestroyed = true
  }

  /** It, or the nearest around it that is not destroyed. */
  get living(): Domain | undefined {
    return this.#isDestroyed ? this.#around?.living : this
  }
}

/** @returns whether a domain was told */
function tellDomain(error: unknown, type: 'uncaughtException' | 'unhandledRejection'): boolean {
  // A test of such errors has a handler of its own.
  if (process.hasUncaughtExceptionCaptureCallback() || process.listenerCount('uncaughtException') > 0) return false
  const domain = domains.getStore()?.living
  domain?.onerror(error, type)
  return domain !== undefined
}

process.on('uncaughtExceptionMonitor', (error, type) => {
  if (!tellDomain(error, type)) return
  // It has been told, and does not end the process.
  process.setUncaughtExceptionCaptureCallback(() => process.setUncaughtExceptionCaptureCallback(null))
})

// A listener would handle every rejection. Only those that a domain was told count as handled.
const emit = process.emit
process.emit = ((event: string, ...args: [unknown]) => {
  if (event === 'unhandledRejection' && process.listenerCount(event) === 0) return tellDomain(args[0], event)
  return Reflect.apply(emit, process, [event, ...args])
}) as typeof process.emit
