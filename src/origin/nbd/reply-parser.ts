/**
 * Reads the replies of an NBD server as their bytes come, and hands them to the requests that they answer. Every
 * magic number, handle and length is checked before anything is done with it.
 */
import { nbdStatusReplyBytesMax, nbdStringBytesMax } from './limits.ts'
import { commandError, protocolError } from './nbd-errors.ts'
import { chunkDone, chunkErrorBit, chunks, simpleReplyMagic, structuredReplyMagic } from './protocol.ts'

/** A request that is under way, as its answer comes. @throws CacheError origin-protocol */
export interface AnsweredRequest {
  /** First byte that it asks for, and the number of them: what a simple reply brings. */
  readonly offset: number
  readonly length: number
  readonly isRead: boolean
  /** `length` bytes at `offset` will come. */
  expect(offset: number, length: number): void
  /** The next of them. */
  data(offset: number, bytes: Uint8Array): void
  hole(offset: number, length: number): void
  /** An answer about holes, whole. */
  status(body: Buffer): void
  /** The server could not do it; more may come before the end. */
  fail(error: Error): void
  /** The answer is over. */
  end(): void
}

/** Requests by their handles. */
export type RequestTable = Pick<Map<number, AnsweredRequest>, 'get' | 'delete'>

const headBytes = 16
/** Number, length, text, and a place. */
const errorBytesMax = 4 + 2 + nbdStringBytesMax + 8

export class ReplyParser {
  readonly #requests: RequestTable
  readonly #isStructured: boolean
  readonly #headPart = Buffer.alloc(headBytes)
  /** Collects what is looked at as a whole: heads, and the bodies of chunks other than data. */
  #part: Buffer = this.#headPart
  #have = 0
  #next = (part: Buffer): void => this.#head(part)
  /** Of the reply that is being read. */
  #request: AnsweredRequest | null = null
  #handle = 0
  #isLast = true
  /** Data that follow, and their place. */
  #dataLeft = 0
  #dataOffset = 0

  constructor(requests: RequestTable, isStructured: boolean) {
    this.#requests = requests
    this.#isStructured = isStructured
  }

  /** @throws CacheError origin-protocol; it is of no use then */
  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const isData = this.#dataLeft > 0
      const length = Math.min(isData ? this.#dataLeft : this.#part.length - this.#have, bytes.length - at)
      const some = bytes.subarray(at, at + length)
      at += length
      if (isData) {
        this.#request!.data(this.#dataOffset, some)
        this.#dataOffset += length
        this.#dataLeft -= length
        if (this.#dataLeft === 0) this.#endOfChunk()
      } else {
        this.#part.set(some, this.#have)
        this.#have += length
        if (this.#have === this.#part.length) this.#next(this.#part)
      }
    }
  }

  /** Take the next so many bytes as a whole. */
  #collect(part: Buffer, next: (part: Buffer) => void): void {
    this.#part = part
    this.#have = 0
    this.#next = next
  }

  #head(head: Buffer): void {
    const magic = head.readUInt32BE(0)
    const isSimple = magic === simpleReplyMagic
    if (!isSimple && !(this.#isStructured && magic === structuredReplyMagic))
      throw protocolError('the server sends something that is no reply')
    this.#handle = head.readUInt32BE(12)
    const request = head.readUInt32BE(8) === 0 ? this.#requests.get(this.#handle) : undefined
    if (request === undefined) throw protocolError('the server answers a request that there is not')
    this.#request = request
    if (isSimple) {
      this.#isLast = true
      this.#simple(request, head.readUInt32BE(4))
    } else {
      this.#isLast = (head.readUInt16BE(4) & chunkDone) !== 0
      const type = head.readUInt16BE(6)
      this.#collect(Buffer.alloc(4), part => this.#chunk(request, type, part.readUInt32BE(0)))
    }
  }

  #simple(request: AnsweredRequest, error: number): void {
    if (error !== 0) {
      request.fail(commandError(error, ''))
      this.#endOfChunk()
    } else if (request.isRead && !this.#isStructured) {
      this.#expectData(request, request.offset, request.length)
    } else {
      throw protocolError('a simple reply has no place for this answer')
    }
  }

  #chunk(request: AnsweredRequest, type: number, length: number): void {
    const { isRead } = request
    const isStatus = type === chunks.blockStatus && !isRead && length >= 12 && length % 8 === 4
    if ((type & chunkErrorBit) !== 0 && length >= 6 && length <= errorBytesMax) {
      this.#collectAll(length, part => request.fail(errorIn(part)))
    } else if (type === chunks.none && length === 0 && this.#isLast) {
      this.#endOfChunk()
    } else if (type === chunks.offsetData && isRead && length > 8) {
      this.#collect(Buffer.alloc(8), part => this.#expectData(request, offsetIn(part), length - 8))
    } else if (type === chunks.offsetHole && isRead && length === 12) {
      this.#collectAll(length, part => request.hole(offsetIn(part), part.readUInt32BE(8)))
    } else if (isStatus && length <= nbdStatusReplyBytesMax) {
      this.#collectAll(length, part => request.status(part))
    } else {
      throw protocolError(`a chunk of type ${type} and ${length} bytes does not belong to this answer`)
    }
  }

  /** Take all of a chunk. */
  #collectAll(length: number, take: (part: Buffer) => void): void {
    this.#collect(Buffer.allocUnsafe(length), part => {
      take(part)
      this.#endOfChunk()
    })
  }

  #expectData(request: AnsweredRequest, offset: number, length: number): void {
    request.expect(offset, length)
    this.#dataOffset = offset
    this.#dataLeft = length
  }

  #endOfChunk(): void {
    const request = this.#request!
    this.#request = null
    this.#collect(this.#headPart, part => this.#head(part))
    if (!this.#isLast) return
    // In this order: one whose end is wrong is still there when the connection ends.
    request.end()
    this.#requests.delete(this.#handle)
  }
}

/** A place in an export; one beyond what can be counted is none of ours, and fails every comparison. */
function offsetIn(part: Buffer): number {
  return Number(part.readBigUInt64BE(0))
}

/** @throws CacheError origin-protocol */
function errorIn(part: Buffer): Error {
  const [number, end] = [part.readUInt32BE(0), 6 + part.readUInt16BE(4)]
  if (number === 0 || end > part.length) throw protocolError('an error that is none')
  return commandError(number, part.toString('utf8', 6, end))
}
