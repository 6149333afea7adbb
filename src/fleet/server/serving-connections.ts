/**
 * Native connections of the serving port: accepted here, then handed to the front's threads, which speak TLS and send
 * resident bytes. Each of their requests arrives at the HTTP server through a link, one at a time.
 */
import { X509Certificate } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { CacheError } from '../../base/errors.ts'
import type { StoreFile } from '../../native/addon.ts'
import type {
  ServingFront,
  ServingFrontEvent,
  ServingFrontLimits,
  ServingFrontListener,
  ServingPermit,
} from '../../native/serving-front.ts'
import {
  handshakeMsMax,
  headMsMax,
  idleMsMax,
  offeredObjectsMax,
  permitMsMax,
  requestHeadBytesMax,
  sentMembersMax,
  servingThreads,
  takeMsMax,
} from './limits.ts'
import type { SendingRate } from './sending-rate.ts'

/** Makes the front of an engine. */
export type CreateFront = (limits: ServingFrontLimits, onEvent: ServingFrontListener) => ServingFront

export interface ServingConnectionsContext {
  readonly createFront: CreateFront
  /** The first request of a connection is in this socket. */
  readonly onLink: (link: Socket, client: NativeClient) => void
}

const limits: ServingFrontLimits = {
  threads: servingThreads,
  headBytesMax: requestHeadBytesMax,
  objectsMax: offeredObjectsMax,
  membersMax: sentMembersMax,
  ...{ handshakeMsMax, headMsMax, idleMsMax, takeMsMax },
}

/** Source: Node.js 20, lib/net.js; the handle of a socket that is connected. */
interface WithHandle {
  readonly _handle?: { readonly fd?: number } | null
}

export class ServingConnections {
  readonly #front: ServingFront
  readonly #onLink: ServingConnectionsContext['onLink']
  readonly #clients = new Map<number, NativeClient>()
  #isTls = false
  #onDrained = () => {}
  #revocations = 0
  #sentBytes: number | null = null

  constructor({ createFront, onLink }: ServingConnectionsContext) {
    this.#onLink = onLink
    this.#front = createFront(limits, (event, id, value, certificate) => this.#hear(event, id, value, certificate))
  }

  /** Bytes of images that were sent; after the end, too. */
  get sentBytes(): number {
    return this.#sentBytes ?? this.#front.sentBytes()
  }

  /** The rate of all that is sent, by permit or not. */
  get rate(): SendingRate {
    return this.#front
  }

  /** Answers by permit, and their bytes; after the end, too. */
  get permitted(): ReturnType<ServingFront['permitted']> {
    return this.#front.permitted()
  }

  /** Of these bytes, those of a member. */
  permittedTo(memberId: string): number {
    return this.#front.permittedTo(memberId)
  }

  /** Each request is decided anew. */
  revoke(): void {
    this.#revocations = this.#front.revoke()
  }

  /** TLS with these from now on. @returns false where only Node's TLS can; nothing has changed then */
  identify({ cert, key, ca }: SecureContextOptions): boolean {
    if (!this.#front.identity(`${cert}`, `${key}`, ca === undefined ? '' : `${ca}`)) return false
    this.#isTls = true
    return true
  }

  /** Take over a socket from which nothing was read. @returns null where it has gone */
  adopt(socket: Socket): NativeClient | null {
    const { remoteAddress } = socket
    const fd = (socket as unknown as WithHandle)._handle?.fd ?? -1
    try {
      if (fd < 0 || remoteAddress === undefined) return null
      const id = this.#front.adopt(fd, this.#isTls)
      const client = new NativeClient(this.#front, id, remoteAddress, () => this.#revocations)
      this.#clients.set(id, client)
      return client
    } catch {
      return null // Without descriptors nothing can be served.
    } finally {
      socket.destroy() // The connection goes on: it has another descriptor.
    }
  }

  /** Resolves once there are no connections. */
  drained(): Promise<void> {
    return new Promise(resolve => {
      this.#onDrained = resolve
      this.#lookWhetherDrained()
    })
  }

  dropIdle(): void {
    this.#front.dropIdle()
  }

  /** Idempotent. */
  close(): void {
    this.#sentBytes ??= this.#front.sentBytes()
    this.#front.close()
    for (const client of this.#clients.values()) client.end()
    this.#clients.clear()
  }

  #lookWhetherDrained(): void {
    if (this.#clients.size === 0) this.#onDrained()
  }

  #hear(event: ServingFrontEvent, id: number, value: number, certificate: Uint8Array | null): void {
    const client = this.#clients.get(id)
    if (event === 'link') {
      const link = new Socket({ fd: value, readable: true, writable: true })
      if (!client) return void link.destroy()
      client.certificateEndMs = certificate && endMsOf(certificate)
      this.#onLink(link, client)
    } else if (event === 'sent') client?.sent(value)
    else {
      this.#clients.delete(id)
      client?.end()
      this.#lookWhetherDrained()
    }
  }
}

/** A client on a native connection. Emits `close` once. */
export class NativeClient extends EventEmitter {
  readonly remoteAddress: string
  /** The last millisecond of its certificate, since 1970; null: it has none of the group's. */
  certificateEndMs: number | null = null
  readonly #front: ServingFront
  readonly #id: number
  readonly #revocationsNow: () => number
  /** Revocations before its request began. */
  #revocations = 0
  #onSent: ((bytes: number) => void) | null = null
  #hasEnded = false

  constructor(front: ServingFront, id: number, remoteAddress: string, revocations: () => number) {
    super()
    this.#revocationsNow = revocations
    this.#front = front
    this.#id = id
    this.remoteAddress = remoteAddress
  }

  /** A request begins: what is decided about it was not revoked yet. */
  begin(): void {
    this.#revocations = this.#revocationsNow()
  }

  /** Have requests like the present one answered natively, while its certificate is good. */
  permit(permit: Omit<ServingPermit, 'revocations' | 'ms'>): void {
    const certifiedMs = this.certificateEndMs === null ? permitMsMax : this.certificateEndMs - Date.now()
    const ms = Math.floor(Math.min(permitMsMax, certifiedMs))
    if (this.#hasEnded || ms <= 0) return
    this.#front.permit(this.#id, { ...permit, ms, revocations: this.#revocations })
  }

  /** Objects that permits cover: see {@link ServingFront.offer}. */
  offer(...offer: Parameters<ServingFront['offer']>): void {
    if (!this.#hasEnded) this.#front.offer(...offer)
  }

  /** Ends the connection. Idempotent. */
  destroy(): void {
    if (!this.#hasEnded) this.#front.drop(this.#id)
  }

  /**
   * Send a part of a file after what was written to the link. One at a time.
   * @returns bytes that went; fewer: the next are not resident
   * @throws CacheError aborted when the client has gone
   */
  send(link: Socket, file: StoreFile, offset: number, length: number): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) return reject(new CacheError('aborted', 'the client has gone'))
      this.#onSent = bytes => {
        this.#onSent = null
        if (bytes < 0) reject(new CacheError('aborted', 'the client has gone'))
        else resolve(bytes)
      }
      this.#front.send(this.#id, link.bytesWritten, file, offset, length)
    })
  }

  /** The request is answered by what was written to the link. */
  answered(link: Socket): void {
    if (!this.#hasEnded) this.#front.resume(this.#id, link.bytesWritten)
  }

  /** Of {@link ServingConnections} alone. */
  sent(bytes: number): void {
    this.#onSent?.(bytes)
  }

  /** Of {@link ServingConnections} alone. Idempotent. */
  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#onSent?.(-1)
    this.emit('close')
  }
}

/** @returns null for what is no certificate */
function endMsOf(der: Uint8Array): number | null {
  try {
    return Date.parse(new X509Certificate(der).validTo)
  } catch {
    return null
  }
}
