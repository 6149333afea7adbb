/**
 * An export as it is open: its connections, among which reads are shared out. One that broke is replaced at the next
 * read; several are used where the server allows it.
 */
import { abortable } from '../../async/abortable.ts'
import { SharedRun } from '../../async/shared-run.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { OriginExtent } from '../contract/origin.ts'
import { nbdFurtherMs, nbdRequestBytesMax, nbdRequestsBeforeNext, nbdStatusBytes, nbdStretchesMax } from './limits.ts'
import { NbdConnection } from './nbd-connection.ts'
import type { NbdSocket } from './nbd-socket.ts'
import { enterExport, type Terms } from './negotiation.ts'
import type { PendingRead, PendingStatus, Stretch } from './pending-requests.ts'

export interface NbdExportOptions {
  /** A new connection, on which options can be asked. */
  readonly dial: () => Promise<NbdSocket>
  readonly name: string
  readonly sizeBytes: number
  readonly connectionsMax: number
  /** The time after which unused connections are closed. */
  readonly idleMs: number
  /** Longest time without a byte while something is asked for. */
  readonly silenceMsMax: number
}

/** A request, and where it was sent. */
interface Sent<T extends PendingRead | PendingStatus> {
  readonly connection: NbdConnection
  readonly request: T
}

export class NbdExport {
  readonly #options: NbdExportOptions
  readonly #connections: NbdConnection[] = []
  readonly #opening = new SharedRun<NbdConnection>()
  readonly #idle: NodeJS.Timeout
  /** A further connection failed: the time before which none is tried. */
  #furtherFromMs = 0
  /** The stretches of one answer, which began at an offset. */
  #stretches: readonly Stretch[] = []
  #stretchesFrom = 0
  #isClosed = false

  constructor(options: NbdExportOptions) {
    this.#options = options
    this.#idle = setTimeout(() => this.#closeIdle(), options.idleMs).unref()
  }

  /** Fill `target`. @throws CacheError image-changed, origin-*, aborted; OptionRefused */
  async read(offset: number, target: Uint8Array, signal: CancelSignal): Promise<void> {
    const end = offset + target.length
    const sent: Sent<PendingRead>[] = []
    try {
      for (let at = offset; at < end; ) {
        const connection = await this.#connection(signal)
        const to = Math.min(end, requestEnd(at, connection.terms))
        sent.push({ connection, request: connection.read(at, target.subarray(at - offset, to - offset)) })
        at = to
      }
      await settled(sent, signal)
    } catch (error) {
      for (const { connection, request } of sent) connection.leave(request, error)
      throw error
    }
  }

  /** The stretch at `offset`; null: the server does not tell. */
  async extentAt(offset: number, signal: CancelSignal): Promise<OriginExtent | null> {
    const known = this.#stretchAt(offset)
    if (known) return known
    const connection = await this.#connection(signal)
    const { allocation, sizeBytes } = connection.terms
    if (allocation === null) return null
    const request = connection.status(offset, Math.min(nbdStatusBytes, sizeBytes - offset), nbdStretchesMax)
    try {
      const [stretches] = await settled([{ connection, request }], signal)
      this.#stretches = stretches!
      this.#stretchesFrom = request.offset
    } catch (error) {
      connection.leave(request, error)
      throw error
    }
    return this.#stretchAt(offset)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#idle)
    for (const connection of this.#connections.splice(0)) connection.close()
  }

  #stretchAt(offset: number): OriginExtent | null {
    const stretch = offset < this.#stretchesFrom ? undefined : this.#stretches.find(({ end }) => end > offset)
    return stretch ? { hole: stretch.isHole, end: Math.min(stretch.end, this.#options.sizeBytes) } : null
  }

  get #leastLoaded(): NbdConnection | undefined {
    let least = this.#connections[0]
    for (const each of this.#connections) if (each.load < least!.load) least = each
    return least
  }

  /** One to read by, now or soon. */
  async #connection(signal: CancelSignal): Promise<NbdConnection> {
    this.#idle.refresh()
    const least = this.#leastLoaded
    if (least === undefined)
      return await abortable(
        this.#opening.run(() => this.#open()),
        signal,
      )
    const isBusy = least.load >= nbdRequestsBeforeNext && least.terms.canMultiConn
    if (isBusy && this.#connections.length < this.#options.connectionsMax && performance.now() >= this.#furtherFromMs) {
      // Nothing waits for it: those that are there will do.
      void this.#opening
        .run(() => this.#open())
        .catch(() => {
          this.#furtherFromMs = performance.now() + nbdFurtherMs
        })
    }
    return least
  }

  async #open(): Promise<NbdConnection> {
    const { dial, name, sizeBytes, silenceMsMax } = this.#options
    const socket = await dial()
    try {
      const terms = await enterExport(socket, name)
      if (this.#isClosed) throw new CacheError('closed', 'the export was closed')
      if (terms.sizeBytes !== sizeBytes)
        throw new CacheError('image-changed', `it has ${terms.sizeBytes} bytes now, and had ${sizeBytes}`)
      const connection = new NbdConnection(socket, terms, silenceMsMax, () => this.#forget(connection))
      this.#connections.push(connection)
      return connection
    } catch (error) {
      socket.fail(error)
      throw error
    }
  }

  #forget(connection: NbdConnection): void {
    const at = this.#connections.indexOf(connection)
    if (at >= 0) this.#connections.splice(at, 1)
  }

  #closeIdle(): void {
    for (const connection of [...this.#connections]) {
      if (connection.load > 0) continue
      this.#forget(connection)
      connection.close()
    }
  }
}

/** The answers to all of them, as long as they are waited for. */
async function settled<T extends PendingRead | PendingStatus>(sent: readonly Sent<T>[], signal: CancelSignal) {
  return await abortable(Promise.all(sent.map(({ request }) => request.done as T['done'])), signal)
}

/** The end of the longest request for what begins at `offset`. Both its ends lie at blocks of the server. */
function requestEnd(offset: number, { blockBytesMin, requestBytesMax }: Terms): number {
  const bytes = Math.min(requestBytesMax, nbdRequestBytesMax)
  return offset - (offset % blockBytesMin) + bytes - (bytes % blockBytesMin)
}
