/**
 * Gatekeeper of the serving port: a client has a certificate of the group's authority or the token, or gets nothing,
 * not even names.
 *
 * The end of a certificate is looked at for each request, as connections live long. The token is compared without
 * telling how much of it was right.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { isCacheError } from '../../base/errors.ts'

/** A client whose TLS is native. */
export interface NativeIdentity {
  /** The last millisecond of its certificate, since 1970; null: it has none of the authority. */
  readonly certificateEndMs: number | null
}

export interface GatekeeperOptions {
  /** Clients with a certificate of the authority are let in. */
  readonly takesCertificates: boolean
  /** The token; null where there is none. @throws CacheError access-denied when there never was one to be read */
  readonly token: (() => Promise<string>) | null
  /** Everybody is let in: neither is asked for. */
  readonly isOpen: boolean
  /** Milliseconds since 1970. */
  readonly wallMs?: () => number
}

export class Gatekeeper {
  readonly #options: GatekeeperOptions
  /** The last millisecond of a client's certificate, since 1970. */
  readonly #endsMs = new WeakMap<TLSSocket, number>()
  /** The token that a connection has shown: its next requests say the same. */
  readonly #shown = new WeakMap<object, string>()

  constructor(options: GatekeeperOptions) {
    this.#options = options
  }

  /** May this client ask? Never rejects. */
  async admits(
    { socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>,
    native: NativeIdentity | null = null,
  ): Promise<boolean> {
    const { isOpen, takesCertificates, token } = this.#options
    if (isOpen) return true
    if (takesCertificates && native && this.#isBefore(native.certificateEndMs)) return true
    if (takesCertificates && socket instanceof TLSSocket && this.#isCertified(socket)) return true
    const said = /^Bearer ([\x21-\x7e]{1,8192})$/i.exec(headers.authorization ?? '')?.[1]
    if (token === null || said === undefined) return false
    try {
      const wanted = await token()
      // Only who has shown the right one gets this far: comparing it tells him nothing new.
      if (this.#shown.get(socket) === wanted && said === wanted) return true
      const isRight = isSame(said, wanted)
      if (isRight) this.#shown.set(socket, wanted)
      return isRight
    } catch (error) {
      if (isCacheError(error)) return false // The secret says why in the log.
      throw error
    }
  }

  #isCertified(socket: TLSSocket): boolean {
    if (!socket.authorized) return false
    let endMs = this.#endsMs.get(socket)
    if (endMs === undefined) {
      endMs = Date.parse(socket.getPeerCertificate().valid_to)
      this.#endsMs.set(socket, endMs)
    }
    return this.#isBefore(endMs)
  }

  #isBefore(endMs: number | null): boolean {
    return endMs !== null && (this.#options.wallMs ?? Date.now)() < endMs
  }
}

function isSame(said: string, wanted: string): boolean {
  const [a, b] = [said, wanted].map(text => createHash('sha256').update(text).digest())
  return timingSafeEqual(a!, b!)
}
