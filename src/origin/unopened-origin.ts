/**
 * Unopened origin: stands for an origin that cannot be opened yet, as a file that its settings name is missing. It
 * answers as an origin that is down: names are those of the index, reads wait.
 */
import { CacheError } from '../base/errors.ts'
import type { Origin } from './contract/origin.ts'
import { identityOf, type OriginOptions } from './open-origin.ts'
import { CircuitBreakerOrigin } from './wrappers/circuit-breaker.ts'
import type { CircuitState } from './wrappers/circuit-state.ts'
import { DeadlineOrigin } from './wrappers/deadline.ts'
import { RetryOrigin } from './wrappers/retry.ts'

/** The schemes whose images have directories. */
const hierarchical = /^(oci|s3|swift|glance):/i

export class UnopenedOrigin implements Origin {
  readonly url: string
  readonly isHierarchical: boolean
  readonly #why: string
  #isOver = false

  /** @param why it is not open */
  constructor(url: string, why: string) {
    this.url = identityOf(url)
    this.isHierarchical = hierarchical.test(url)
    this.#why = why
  }

  /** It stands for the origin no longer: calls that wait here are to begin again there. */
  end(): void {
    this.#isOver = true
  }

  readonly list = () => this.#refuse()
  readonly lookup = () => this.#refuse()
  readonly read = () => this.#refuse()
  readonly readWhole = () => this.#refuse()
  readonly extentAt = () => this.#refuse()
  readonly digest = () => this.#refuse()

  /** Nothing is open. */
  async close(): Promise<void> {}

  /** Not tried again here once it is over: a reader that waits begins again by itself. */
  #refuse(): Promise<never> {
    const code = this.#isOver ? 'origin-away' : 'origin-unreachable'
    return Promise.reject(new CacheError(code, `${this.url} is not open: ${this.#why}`))
  }
}

/** With the wrappers that tell its state, and have readers wait. */
export function downFor(
  origin: UnopenedOrigin,
  availability: CircuitState,
  { retry, missMsMax }: Pick<OriginOptions, 'retry' | 'missMsMax'>,
): Origin {
  return new DeadlineOrigin(new RetryOrigin(new CircuitBreakerOrigin(origin, availability), retry), missMsMax)
}
