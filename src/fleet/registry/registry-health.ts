/**
 * Health of a registry's engine: each half of the work, the list and the lease, fails or succeeds by itself. A change
 * is said once in the log.
 */
import type { Logger } from '../../base/logger.ts'
import type { RegistryState } from './registry.ts'

export class RegistryHealth {
  readonly #engine: string
  readonly #logger: Logger
  /** The reason why each half fails; empty: it does not; null: it has not been tried yet. */
  readonly #failures: { list: string | null; lease: string | null } = { list: null, lease: null }
  #wasAway = false

  /** @param engine its name in the log */
  constructor(engine: string, logger: Logger) {
    this.#engine = engine
    this.#logger = logger
  }

  get state(): Pick<RegistryState, 'state' | 'reason'> {
    const { list, lease } = this.#failures
    const reason = list || lease || ''
    return { state: reason !== '' ? 'away' : list === null || lease === null ? 'starting' : 'connected', reason }
  }

  /** @param reason why this half failed; empty: it did not */
  note(half: 'list' | 'lease', reason: string): void {
    this.#failures[half] = reason
    const { state, reason: why } = this.state
    const isAway = state === 'away'
    if (isAway === this.#wasAway) return
    this.#wasAway = isAway
    const registry = this.#engine
    if (isAway) this.#logger.warn({ registry, reason: why }, 'fleet registry away: the view stays as it is')
    else this.#logger.info({ registry }, 'fleet registry answers again')
  }
}
