/**
 * Numbers of the NBD protocol, and the parts of its messages. Pure.
 *
 * Source: the NBD protocol, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
 */

/** The first words of a server, and the one before each option. */
export const initMagic = 0x4e42444d41474943n
export const optionMagic = 0x49484156454f5054n
export const optionReplyMagic = 0x0003e889045565a9n

/** Flags of a server's greeting, and the client's answer with the same bits. */
export const fixedNewstyle = 1
export const noZeroes = 2

export const options = {
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  setMetaContext: 10,
} as const

export const replies = { ack: 1, server: 2, info: 3, metaContext: 4 } as const

/** Bit of a reply that is a refusal. */
export const refusalBit = 0x8000_0000

/** Refusals of an option, by their number below the bit. */
export const refusals = {
  1: 'unsupported',
  2: 'policy',
  3: 'invalid',
  4: 'platform',
  5: 'tls-required',
  6: 'unknown',
  7: 'shutdown',
  8: 'block-size-required',
  9: 'too-big',
} as const

export type OptionRefusal = (typeof refusals)[keyof typeof refusals] | 'other'

export const infos = { export: 0, blockSize: 3 } as const

/** Flag of an export: several connections to it see the same. */
export const canMultiConn = 1 << 8

export const requestMagic = 0x25609513
export const simpleReplyMagic = 0x67446698
export const structuredReplyMagic = 0x668e33ef

export const commands = { read: 0, disconnect: 2, blockStatus: 7 } as const

/** Flag of a chunk: the last one of its reply. */
export const chunkDone = 1

export const chunks = { none: 0, offsetData: 1, offsetHole: 2, blockStatus: 5 } as const

/** Bit of a chunk that is an error. */
export const chunkErrorBit = 0x8000

/** Context that tells holes, and the flag of a stretch that reads as zeros. */
export const allocationContext = 'base:allocation'
export const readsAsZeros = 2

/** Bytes of a request without data. */
export const requestBytes = 28

/** An option with its data. */
export function optionMessage(option: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const message = Buffer.alloc(16 + data.length)
  message.writeBigUInt64BE(optionMagic, 0)
  message.writeUInt32BE(option, 8)
  message.writeUInt32BE(data.length, 12)
  message.set(data, 16)
  return message
}

/** Data of `info` and `go`: a name, and the facts that are asked for. */
export function exportData(name: string, facts: readonly number[]): Buffer {
  const bytes = Buffer.from(name)
  const data = Buffer.alloc(4 + bytes.length + 2 + 2 * facts.length)
  data.writeUInt32BE(bytes.length, 0)
  data.set(bytes, 4)
  data.writeUInt16BE(facts.length, 4 + bytes.length)
  for (const [at, fact] of facts.entries()) data.writeUInt16BE(fact, 6 + bytes.length + 2 * at)
  return data
}

/** Data of `setMetaContext`: a name, and one context. */
export function contextData(name: string, context: string): Buffer {
  const [bytes, query] = [Buffer.from(name), Buffer.from(context)]
  const data = Buffer.alloc(4 + bytes.length + 4 + 4 + query.length)
  data.writeUInt32BE(bytes.length, 0)
  data.set(bytes, 4)
  data.writeUInt32BE(1, 4 + bytes.length)
  data.writeUInt32BE(query.length, 8 + bytes.length)
  data.set(query, 12 + bytes.length)
  return data
}

/** A request. `handle` has 32 bits: the upper half of the protocol's is zero. */
export function requestMessage(command: number, handle: number, offset: number, length: number): Buffer {
  const message = Buffer.alloc(requestBytes)
  message.writeUInt32BE(requestMagic, 0)
  message.writeUInt16BE(command, 6)
  message.writeUInt32BE(handle, 12)
  message.writeBigUInt64BE(BigInt(offset), 16)
  message.writeUInt32BE(length, 24)
  return message
}
