/**
 * Stack of closers: closes what was opened in the opposite order, at the stop or when opening the next thing fails.
 */
import type { Logger } from '../../base/logger.ts'

export class CloserStack {
  readonly #closers: { readonly what: string; readonly close: () => unknown }[] = []
  #unwinding: Promise<void> | undefined

  /** @param close may return a promise */
  push(what: string, close: () => unknown): void {
    this.#closers.push({ what, close })
  }

  /** Close everything, last first; what fails is logged and does not keep the rest open. Idempotent. */
  closeAll(logger: Logger): Promise<void> {
    return (this.#unwinding ??= this.#unwind(logger))
  }

  async #unwind(logger: Logger): Promise<void> {
    for (const { what, close } of this.#closers.reverse()) {
      try {
        await close()
        logger.debug({ what }, 'closed')
      } catch (error) {
        logger.error({ what, err: error }, 'could not be closed')
      }
    }
  }
}
