/**
 * Connection guard: bounds the connections and the requests of the serving port, altogether and by address.
 *
 * A connection over a bound takes the place of one that has no request: the one of its own address that has been idle
 * for longest, or of the address that has most. So a client that opens thousands keeps nobody else out.
 */
import { addressConnectionsMax, addressRequestsMax, servedConnectionsMax } from './limits.ts'

/** A connection as the guard sees it: a socket of TCP, or a client of native threads. */
export interface GuardedConnection {
  readonly remoteAddress?: string | undefined
  destroy(): unknown
  once(event: 'close', listener: () => void): unknown
}

export interface ConnectionLimits {
  readonly connectionsMax: number
  readonly addressConnectionsMax: number
  readonly addressRequestsMax: number
}

interface Address {
  /** In the order of their last request; the value: requests being answered. */
  readonly sockets: Map<GuardedConnection, number>
  requests: number
}

const limitsDefault: ConnectionLimits = {
  connectionsMax: servedConnectionsMax,
  addressConnectionsMax,
  addressRequestsMax,
}

export class ConnectionGuard {
  readonly #limits: ConnectionLimits
  readonly #addresses = new Map<string, Address>()
  /** By socket: its address is gone once it is closed. */
  readonly #of = new WeakMap<GuardedConnection, string>()
  #connections = 0
  #refused = 0

  constructor(limits: Partial<ConnectionLimits> = {}) {
    this.#limits = { ...limitsDefault, ...limits }
  }

  get connections(): number {
    return this.#connections
  }

  /** Connections and requests over a bound. */
  get refused(): number {
    return this.#refused
  }

  /** A connection has come. @param socket the one of TCP, TLS or not */
  admit(socket: GuardedConnection): void {
    const name = socket.remoteAddress
    if (name === undefined) return void socket.destroy()
    const address = this.#addresses.get(name) ?? { sockets: new Map<GuardedConnection, number>(), requests: 0 }
    const isOverOwn = address.sockets.size >= this.#limits.addressConnectionsMax
    if (isOverOwn || this.#connections >= this.#limits.connectionsMax) {
      this.#refused++
      const idle = idleOf(isOverOwn ? address : this.#largest())
      // Without one that is idle the new one is over the bound.
      if (!idle) return void socket.destroy()
      this.#forget(idle)
      idle.destroy()
    }
    this.#addresses.set(name, address)
    address.sockets.set(socket, 0)
    this.#of.set(socket, name)
    this.#connections++
    socket.once('close', () => this.#forget(socket))
  }

  /**
   * A request has come whole.
   * @returns its end, to be called once; null: too many of this address are being answered
   */
  begin(socket: GuardedConnection): (() => void) | null {
    const address = this.#addresses.get(this.#of.get(socket) ?? '')
    const requests = address?.sockets.get(socket)
    if (!address || requests === undefined) return () => {}
    if (address.requests >= this.#limits.addressRequestsMax) {
      this.#refused++
      return null
    }
    address.sockets.delete(socket)
    address.sockets.set(socket, requests + 1)
    address.requests++
    return () => {
      address.requests--
      const now = address.sockets.get(socket)
      if (now !== undefined) address.sockets.set(socket, now - 1)
    }
  }

  #largest(): Address | undefined {
    let largest: Address | undefined
    for (const address of this.#addresses.values()) {
      if (address.sockets.size > (largest?.sockets.size ?? 0)) largest = address
    }
    return largest
  }

  /** Idempotent. */
  #forget(socket: GuardedConnection): void {
    const name = this.#of.get(socket)
    if (name === undefined) return
    this.#of.delete(socket)
    const address = this.#addresses.get(name)
    if (!address?.sockets.delete(socket)) return
    this.#connections--
    if (address.sockets.size === 0) this.#addresses.delete(name)
  }
}

/** The connection without a request that has been so for longest. */
function idleOf(address: Address | undefined): GuardedConnection | null {
  for (const [socket, requests] of address?.sockets ?? []) if (requests === 0) return socket
  return null
}
