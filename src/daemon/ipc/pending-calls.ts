/**
 * Questions to another process that are answered by a message with the same number, some time later.
 */
export class PendingCalls<Answer> {
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #lastId = 0

  /** @param send put the question with this number */
  async call(send: (id: number) => Promise<void>): Promise<Answer> {
    const id = ++this.#lastId
    const answer = new Promise<Answer>(resolve => this.#waiting.set(id, resolve))
    await send(id)
    try {
      return await answer
    } finally {
      this.#waiting.delete(id)
    }
  }

  /** An answer to nothing is none. */
  answered(id: number, answer: Answer): void {
    this.#waiting.get(id)?.(answer)
  }
}
