/**
 * Long ranges are received by a thread of their own, with its own connections: taking the bytes from the kernel, and TLS, costs as much time
 * as all else that is done for them, and would be spent on the thread of all requests.
 *
 * It needs memory that both threads see (a SharedArrayBuffer), begins with the first range that has such a target, and ends when it has
 * had nothing to do for a while. Deadlines are judged here: the thread says what comes.
 */
import { Readable } from 'node:stream'
import { Worker } from 'node:worker_threads'
import { CacheError, isErrorCode } from '../errors.ts'
import { noBody, type RangeAnswer, type RangeConnectionsOptions, type RangeRequest } from './range-connections.ts'
import type { FromRangeThread, ThreadError, ToRangeThread } from './range-messages.ts'
import type { Watch } from './watch.ts'

/** How long an idle one is kept. */
const idleMs = 60_000
/** More than it needs for its code, and little beside what it receives. */
const resourceLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 }

/** A request that the thread works on. */
interface Exchange {
  readonly watch: Watch
  readonly onHead: (answer: RangeAnswer | null) => void
  /** Of the head, as long as there is none. */
  readonly onFailure: (error: unknown) => void
  /** Settles when nothing is written to the target any more: with the body in its place, or without. */
  readonly over: Promise<void>
  readonly onOver: (error: ThreadError | null) => void
}

export class RangeThread {
  readonly #options: RangeConnectionsOptions
  readonly #exchanges = new Map<number, Exchange>()
  #worker: Worker | null = null
  #isReady = false
  /** It has failed, or there is to be none any more. */
  #isOff = false
  #lastId = 0
  #idle: NodeJS.Timeout | undefined

  constructor(options: RangeConnectionsOptions) {
    this.#options = options
  }

  /** Could this range come here? */
  mayTake({ target }: RangeRequest): boolean {
    return !this.#isOff && target.buffer instanceof SharedArrayBuffer
  }

  /**
   * Ask for a range.
   * @returns an answer as that of {@link RangeConnections.ask}; null: ask there, for the thread is not there yet, or not for this one
   * @throws CacheError, and errors of the connection
   */
  async ask(range: RangeRequest, watch: Watch): Promise<RangeAnswer | null> {
    if (!this.mayTake(range)) return null
    this.#worker ??= this.#start()
    if (!this.#isReady) return null
    const { url, headers, target } = range
    const id = ++this.#lastId
    const leave = () => this.#tell({ kind: 'leave', id })
    watch.signal.addEventListener('abort', leave, { once: true })
    const answer = new Promise<RangeAnswer | null>((onHead, onFailure) => {
      this.#exchanges.set(id, { watch, onHead, onFailure, ...this.#ending(id, onFailure) })
    })
    this.#tell({ kind: 'ask', id, url: url.href, headers, target })
    if (watch.error !== null) leave()
    return await answer
  }

  /** Idempotent; what is being received breaks off. */
  async close(error: unknown): Promise<void> {
    this.#isOff = true
    await this.#end(error)
  }

  /** How the end of an exchange is heard of. */
  #ending(id: number, onFailure: (error: unknown) => void): Pick<Exchange, 'over' | 'onOver'> {
    let onOver: (error: ThreadError | null) => void = () => {}
    const over = new Promise<void>((resolve, reject) => {
      onOver = error => {
        this.#exchanges.delete(id)
        if (this.#exchanges.size === 0) this.#idle?.refresh()
        if (error === null) return resolve()
        const own = errorOf(error)
        onFailure(own) // Nothing, where the head has come.
        reject(own)
      }
    })
    over.catch(() => {}) // Who waits for the body sees it.
    return { over, onOver }
  }

  #start(): Worker {
    const worker = new Worker(new URL('./range-thread-main.js', import.meta.url), {
      workerData: this.#options,
      resourceLimits,
    })
    worker.unref()
    worker.once('online', () => {
      this.#isReady = this.#worker === worker
    })
    worker.on('message', (message: FromRangeThread) => this.#heard(message))
    const failed = (why: string) => {
      if (this.#worker !== worker) return
      this.#isOff = true // Once is enough: all of it can be done without.
      void this.#end(new CacheError('origin-failed', `the thread that receives has ended: ${why}`))
    }
    worker.once('error', error => failed(String(error)))
    worker.once('exit', code => failed(`exit code ${code}`))
    this.#idle = setTimeout(() => this.#endIdle(), idleMs).unref()
    return worker
  }

  #endIdle(): void {
    if (this.#exchanges.size > 0) this.#idle?.refresh()
    else void this.#end(null)
  }

  async #end(error: unknown): Promise<void> {
    const worker = this.#worker
    this.#worker = null
    this.#isReady = false
    clearTimeout(this.#idle)
    await worker?.terminate()
    const { code, message } = error instanceof CacheError ? error : { code: 'closed', message: String(error) }
    for (const { onOver } of [...this.#exchanges.values()]) onOver({ code, message })
  }

  #tell(message: ToRangeThread): void {
    this.#worker?.postMessage(message)
  }

  #heard(message: FromRangeThread): void {
    const exchange = this.#exchanges.get(message.id)
    if (!exchange) return
    switch (message.kind) {
      case 'progress':
        exchange.watch.touch(message.bytes)
        return
      case 'decline':
        exchange.onHead(null)
        exchange.onOver(null)
        return
      case 'head':
        exchange.onHead(this.#answerOf(message, exchange))
        if (!message.isInPlace) exchange.onOver(null)
        return
      case 'over':
        exchange.onOver(message.error)
    }
  }

  #answerOf(head: FromRangeThread & { readonly kind: 'head' }, { over }: Exchange): RangeAnswer {
    const { id, status, headers, isInPlace } = head
    const end = async () => {
      if (this.#exchanges.has(id)) this.#tell({ kind: 'leave', id })
      await over.catch(() => {}) // Only that it is over counts.
    }
    return isInPlace
      ? { status, headers, body: noBody, inPlace: { received: () => over, end } }
      : { status, headers, body: Readable.from([]), inPlace: null }
  }
}

function errorOf({ code, message }: ThreadError): Error {
  return isErrorCode(code) ? new CacheError(code, message) : Object.assign(new Error(message), { code })
}
