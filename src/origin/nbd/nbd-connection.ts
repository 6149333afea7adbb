/**
 * Connection to an export, after its handshake: many requests under way at once, each known by its handle.
 *
 * A break, a wrong answer or a long silence ends the connection, and all requests on it.
 */
import { CacheError } from '../../base/errors.ts'
import { nbdAbandonedMax } from './limits.ts'
import type { NbdSocket } from './nbd-socket.ts'
import type { Terms } from './negotiation.ts'
import { PendingRead, PendingStatus } from './pending-requests.ts'
import { commands, requestMessage } from './protocol.ts'
import { ReplyParser } from './reply-parser.ts'

type Pending = PendingRead | PendingStatus

export class NbdConnection {
  readonly terms: Terms
  readonly #socket: NbdSocket
  readonly #pending = new Map<number, Pending>()
  readonly #silence: NodeJS.Timeout
  #abandoned = 0
  #handle = 0
  #isOver = false

  /**
   * @param silenceMsMax without a byte while requests are under way, it ends
   * @param onEnd it takes no more requests
   */
  constructor(socket: NbdSocket, terms: Terms, silenceMsMax: number, onEnd: () => void) {
    this.#socket = socket
    this.terms = terms
    const late = () => new CacheError('origin-timeout', `the server has said nothing for ${silenceMsMax} ms`)
    this.#silence = setTimeout(() => {
      if (this.#pending.size > 0) socket.fail(late())
    }, silenceMsMax).unref()
    const parser = new ReplyParser({ get: this.#find, delete: this.#forget }, terms.isStructured)
    const receive = (bytes: Uint8Array) => {
      this.#silence.refresh()
      parser.feed(bytes)
    }
    socket.pass(receive, error => {
      this.#end(error)
      onEnd()
    })
  }

  /** Requests under way whose callers wait. */
  get load(): number {
    return this.#pending.size - this.#abandoned
  }

  /**
   * Fill `target` with the bytes at `offset`, which are at most what one request may ask for.
   * @returns the request; one that is left writes nothing any more
   */
  read(offset: number, target: Uint8Array): PendingRead {
    return this.#send(commands.read, new PendingRead(this.#aligned(offset, target.length), offset, target))
  }

  /** The stretches from `offset` on, one after the other, for about `length` bytes. */
  status(offset: number, length: number, stretchesMax: number): PendingStatus {
    const range = this.#aligned(offset, length)
    return this.#send(commands.blockStatus, new PendingStatus(range, this.terms.allocation!, stretchesMax))
  }

  /** End a request whose caller has left. */
  leave(request: Pending, error: unknown): void {
    if (request.isSettled) return
    request.leave(error)
    this.#abandoned++
    if (this.#abandoned <= nbdAbandonedMax) return
    const message = `${this.#abandoned} answers are due that nothing waits for any more`
    this.#socket.fail(new CacheError('origin-unreachable', message))
  }

  /** Close it; what is under way ends with an error. */
  close(): void {
    this.#end(new CacheError('closed', 'the connection was closed'))
    this.#socket.end(requestMessage(commands.disconnect, 0, 0, 0))
  }

  readonly #find = (handle: number): Pending | undefined => this.#pending.get(handle)

  readonly #forget = (handle: number): boolean => {
    if (this.#pending.get(handle)?.isAbandoned) this.#abandoned--
    return this.#pending.delete(handle)
  }

  #send<T extends Pending>(command: number, request: T): T {
    if (this.#isOver) {
      request.leave(new CacheError('origin-unreachable', 'the connection broke'))
      return request
    }
    if (this.#pending.size === 0) this.#silence.refresh()
    this.#handle = (this.#handle + 1) >>> 0
    this.#pending.set(this.#handle, request)
    this.#socket.write(requestMessage(command, this.#handle, request.offset, request.length))
    return request
  }

  /** From a block of the server to a block, as far as the export goes. */
  #aligned(offset: number, length: number): { readonly offset: number; readonly length: number } {
    const { blockBytesMin, sizeBytes } = this.terms
    const from = offset - (offset % blockBytesMin)
    const to = Math.min(sizeBytes, Math.ceil((offset + length) / blockBytesMin) * blockBytesMin)
    return { offset: from, length: to - from }
  }

  #end(error: unknown): void {
    this.#isOver = true
    clearTimeout(this.#silence)
    for (const request of this.#pending.values()) request.leave(error)
    this.#pending.clear()
  }
}
