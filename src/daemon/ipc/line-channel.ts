/**
 * Message channel between two processes: each message is a line of JSON on a stream socket.
 *
 * Neither side trusts the other. A line that is too long or is no JSON is dropped and counted. No input can end the
 * process that reads it, nor fill its memory. (Node's own channel throws at a line that is no JSON, and has no bound.)
 */
import type { Duplex } from 'node:stream'
import { messageBytesMax } from './limits.ts'

const newline = 0x0a

export class LineChannel {
  readonly #socket: Duplex
  #onMessage: (value: unknown) => void = () => {}
  /** The beginning of a line whose end has not come. */
  #begun: Buffer[] = []
  // INVARIANT: the sum of the lengths of #begun, at most messageBytesMax.
  #begunBytes = 0
  /** The line is too long already: the rest of it is of no interest. */
  #isSkipping = false
  #dropped = 0

  constructor(socket: Duplex) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    socket.on('error', () => {}) // The other process has gone, which its end tells.
  }

  /** Lines that were no message. */
  get dropped(): number {
    return this.#dropped
  }

  /** From now on; one listener. */
  onMessage(listener: (value: unknown) => void): void {
    this.#onMessage = listener
  }

  /** The other side has closed. */
  onClose(listener: () => void): void {
    this.#socket.once('close', listener)
  }

  /** Resolves when it is on its way, or cannot be sent any more. */
  send(value: object): Promise<void> {
    if (!this.#socket.writable) return Promise.resolve()
    return new Promise(resolve => this.#socket.write(`${JSON.stringify(value)}\n`, () => resolve()))
  }

  close(): void {
    this.#socket.destroy()
  }

  #receive(bytes: Buffer): void {
    let from = 0
    for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, from)) {
      this.#add(bytes.subarray(from, at))
      this.#endLine()
      from = at + 1
    }
    this.#add(bytes.subarray(from))
  }

  #add(part: Buffer): void {
    if (this.#begunBytes + part.length > messageBytesMax) {
      this.#isSkipping = true
      this.#begun = []
      this.#begunBytes = 0
    }
    if (this.#isSkipping || part.length === 0) return
    this.#begun.push(part)
    this.#begunBytes += part.length
  }

  #endLine(): void {
    const line = Buffer.concat(this.#begun)
    const isWhole = !this.#isSkipping
    this.#begun = []
    this.#begunBytes = 0
    this.#isSkipping = false
    const value = isWhole ? parsed(line) : undefined
    if (value === undefined) this.#dropped++
    else this.#onMessage(value)
  }
}

function parsed(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'))
  } catch {
    return undefined
  }
}
