/**
 * Questions to another process that are answered by a message with the same number, some time later.
 */
import type { CacheError } from '../../base/errors.ts'

interface Waiting<Answer> {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: CacheError) => void
}

export class PendingCalls<Answer> {
  readonly #waiting = new Map<number, Waiting<Answer>>()
  #lastId = 0
  #ended: CacheError | null = null

  /**
   * @param send put the question with this number
   * @throws CacheError of {@link end}
   */
  async call(send: (id: number) => Promise<void>): Promise<Answer> {
    if (this.#ended) throw this.#ended
    const id = ++this.#lastId
    const answer = new Promise<Answer>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    try {
      const [, answered] = await Promise.all([send(id), answer])
      return answered
    } finally {
      this.#waiting.delete(id)
    }
  }

  /** An answer to nothing is none. */
  answered(id: number, answer: Answer): void {
    this.#waiting.get(id)?.resolve(answer)
  }

  /** No answers come any more: calls that wait, and those that come, fail with this. */
  end(error: CacheError): void {
    this.#ended = error
    for (const { reject } of this.#waiting.values()) reject(error)
  }
}
