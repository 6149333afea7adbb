/**
 * Scratch kernel: the kernel's end of a socket pair that a session takes for /dev/fuse. It asks one request at a time.
 *
 * Source of the layouts: Linux include/uapi/linux/fuse.h.
 */
import { Socket } from 'node:net'
import { opcodes } from '../../fuse/kernel/opcodes.ts'
import { requestHeaderBytes } from '../../fuse/kernel/requests.ts'
import type { Addon } from '../../native/addon.ts'

/** Bytes of struct fuse_out_header. */
const replyHeaderBytes = 16
const rootNodeId = 1n

/** The request that waits for its answer. */
interface Asked {
  readonly unique: bigint
  readonly resolve: (bytes: Buffer) => void
  readonly reject: (error: Error) => void
}

export class ScratchKernel {
  /** The session's descriptor; it stays the kernel's. */
  readonly device: number
  readonly #socket: Socket
  /** Holds the device's descriptor. A reply that finds no room there is refused then, and does not block. */
  readonly #device: Socket
  #received: Buffer = Buffer.alloc(0)
  #unique = 2n
  #asked: Asked | null = null

  constructor(addon: Pick<Addon, 'socketPair'>) {
    const [ours, theirs] = addon.socketPair()
    this.device = theirs
    this.#device = new Socket({ fd: theirs, readable: false, writable: true })
    this.#socket = new Socket({ fd: ours, readable: true, writable: true })
    this.#socket.on('error', () => {}) // 'close' follows.
    this.#socket.on('close', () => this.#asked?.reject(new Error('the scratch kernel is closed')))
    this.#socket.on('data', bytes => this.#receive(bytes))
  }

  /** @returns the node of a name in the root */
  async lookup(name: string): Promise<bigint> {
    return (await this.#ask(opcodes.LOOKUP, rootNodeId, Buffer.from(`${name}\0`))).readBigUInt64LE(0)
  }

  /** @returns the handle */
  async open(nodeId: bigint): Promise<bigint> {
    return (await this.#ask(opcodes.OPEN, nodeId, Buffer.alloc(8))).readBigUInt64LE(0)
  }

  /** @returns the bytes */
  read(nodeId: bigint, handle: bigint, offset: number, length: number): Promise<Buffer> {
    const body = Buffer.alloc(40)
    body.writeBigUInt64LE(handle, 0)
    body.writeBigUInt64LE(BigInt(offset), 8)
    body.writeUInt32LE(length, 16)
    return this.#ask(opcodes.READ, nodeId, body)
  }

  async release(nodeId: bigint, handle: bigint): Promise<void> {
    const body = Buffer.alloc(24)
    body.writeBigUInt64LE(handle, 0)
    await this.#ask(opcodes.RELEASE, nodeId, body)
  }

  /** A request that waits is rejected, and the session ends as it does at an unmount. Idempotent. */
  hangUp(): void {
    this.#socket.destroy()
  }

  /** The session must have stopped. Idempotent. */
  close(): void {
    this.hangUp()
    this.#device.destroy()
  }

  #ask(opcode: number, nodeId: bigint, body: Buffer): Promise<Buffer> {
    // Even: bit 0 marks interrupts.
    this.#unique += 2n
    const unique = this.#unique
    const header = Buffer.alloc(requestHeaderBytes)
    header.writeUInt32LE(requestHeaderBytes + body.length, 0)
    header.writeUInt32LE(opcode, 4)
    header.writeBigUInt64LE(unique, 8)
    header.writeBigUInt64LE(nodeId, 16)
    header.writeUInt32LE(process.pid, 32)
    return new Promise((resolve, reject) => {
      this.#asked = { unique, resolve, reject }
      this.#socket.write(Buffer.concat([header, body]))
    })
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    while (this.#received.length >= replyHeaderBytes) {
      const length = this.#received.readUInt32LE(0)
      if (this.#received.length < length) return
      const reply = this.#received.subarray(0, length)
      this.#received = this.#received.subarray(length)
      // Notifications have 0 there.
      if (reply.readBigUInt64LE(8) === this.#asked?.unique) this.#answered(this.#asked, reply)
    }
  }

  #answered({ resolve, reject }: Asked, reply: Buffer): void {
    this.#asked = null
    const errno = -reply.readInt32LE(4)
    if (errno === 0) resolve(reply.subarray(replyHeaderBytes))
    else reject(new Error(`a request was answered with errno ${errno}`))
  }
}
