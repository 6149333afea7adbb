/**
 * A cursor that fills a reply of a known size with numbers and bytes, little-endian.
 */
export class ReplyWriter {
  readonly bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u16(value: number): this {
    this.#view.setUint16(this.#move(2), value, true)
    return this
  }

  u32(value: number): this {
    this.#view.setUint32(this.#move(4), value, true)
    return this
  }

  u64(value: bigint): this {
    this.#view.setBigUint64(this.#move(8), BigInt.asUintN(64, value), true)
    return this
  }

  raw(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#move(bytes.length))
    return this
  }

  /** Leave `bytes` zeros. */
  skip(bytes: number): this {
    this.#move(bytes)
    return this
  }

  #move(bytes: number): number {
    const at = this.#at
    this.#at += bytes
    return at
  }
}

/** A writer over `bytes` zeros. */
export function replyOf(bytes: number): ReplyWriter {
  return new ReplyWriter(new Uint8Array(bytes))
}
