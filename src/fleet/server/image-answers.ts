/**
 * Answers with images: heads, ranges and checksums. Resident ranges are sent at once; the rest is brought through the
 * miss path, or refused where the client asked for that.
 *
 * A range that goes while it is sent ends the connection: bytes that were not read under the store's protocol are
 * never sent. A member hears within 20 ms that its bytes are being brought.
 */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { blocksPerObject, Geometry, type Image } from '../../base/image.ts'
import {
  completeHeader,
  entityTag,
  fillHeader,
  formatSums,
  hopHeader,
  hopsMax,
  hopsOfOpener,
  imageIdHeader,
  memberHeader,
  openerOfHops,
  rankHeader,
  replicasHeader,
  residentHeader,
  sumsHeader,
  unitsHeader,
} from '../wire/wire.ts'
import { refuse, sendText, writePiece } from './answer.ts'
import { judgeRange } from './byte-range.ts'
import type { ImageSource, SourceOptions } from './image-source.ts'
import { pieceBytes, processingMs } from './limits.ts'
import { recordedSums, sendResidentBody } from './resident-body.ts'
import { SentBytes } from './sent-bytes.ts'
import type { NativeClient } from './serving-connections.ts'
import { permitLike } from './serving-permits.ts'
import type { ServingTurns } from './serving-turns.ts'

export interface ImageAnswersContext {
  readonly source: ImageSource
  readonly turns: ServingTurns
  /** Checksum of a block. */
  readonly crc32c: (bytes: Uint8Array) => number
}

interface Range {
  readonly offset: number
  readonly length: number
}

/** One request, as its answer goes on. */
interface Exchange {
  readonly image: Image
  readonly response: ServerResponse
  readonly headers: IncomingHttpHeaders
  readonly options: SourceOptions
  /** Turns at memory and rate. */
  readonly owner: number
  /** Null: its connection is Node's. */
  readonly client: NativeClient | null
  /** Are blocks that are missing brought? They are waited for where they are coming. */
  readonly mayBring: boolean
  /** The image was asked for by its id, and the connection goes on. */
  readonly isRepeatable: boolean
}

/** Ranks that a refusal advises at most. */
const replicasMax = 64

export class ImageAnswers {
  readonly #parts: ImageAnswersContext
  /** By member. */
  readonly sent = new SentBytes()
  #refused = 0
  /** By connection. */
  readonly #owners = new WeakMap<object, number>()

  constructor(parts: ImageAnswersContext) {
    this.#parts = parts
  }

  /** Requests that were answered 503. */
  get refused(): number {
    return this.#refused
  }

  /**
   * @param isNamed it was asked for by its name, not by its id
   * @param client null: its connection is Node's
   * @throws CacheError what the source says, before a head has gone
   */
  async answer(
    image: Image,
    request: IncomingMessage,
    response: ServerResponse,
    { isNamed, client }: { readonly isNamed: boolean; readonly client: NativeClient | null },
  ): Promise<void> {
    const { headers, method } = request
    const isHead = method === 'HEAD'
    const place = mayRedirect(headers, image, isNamed)
      ? this.#redirectionFor(image, (client ?? request.socket).remoteAddress)
      : null
    if (place !== null) return refuse(response, 307, { location: place, 'cache-control': 'no-store' })
    const verdict = judgeRange(headers, image, isHead)
    const facts = this.#headOf(image)
    if (verdict.status === 416)
      return refuse(response, 416, { ...facts, 'content-range': `bytes */${image.sizeBytes}` })
    if (!('length' in verdict)) return refuse(response, verdict.status, facts)
    if (isHead) {
      response.writeHead(200, { ...facts, ...this.#stateOf(image), 'content-length': image.sizeBytes })
      return void response.end()
    }
    const signal = new LightAbortSignal()
    const leave = () => signal.abort()
    response.once('close', leave)
    try {
      const mayBring = headers[fillHeader] !== 'no' && !this.#isAgainstOrder(headers, image, verdict.offset)
      // Bytes that are only to be waited for lead to no further member: two could wait for each other.
      const hops = mayBring ? hopsOf(headers) : hopsMax
      const options = { signal, opener: openerOfHops(hops) }
      const owner = this.#ownerOf(request.socket, client)
      const isRepeatable = !isNamed && request.httpVersion === '1.1' && response.shouldKeepAlive
      await this.#send({ image, response, headers, options, owner, client, mayBring, isRepeatable }, verdict, facts)
    } finally {
      response.off('close', leave)
      signal.end()
    }
  }

  /**
   * The checksums of an object as they were at its first write, and its SHA-256 as its bytes are now.
   * @throws CacheError what the source says
   */
  async sums(image: Image, object: number, response: ServerResponse): Promise<void> {
    const { source, turns } = this.#parts
    const geometry = new Geometry(image.sizeBytes, source.blockBytes)
    if (object >= geometry.objects) return refuse(response, 404)
    const signal = new LightAbortSignal()
    response.once('close', () => signal.abort())
    const sums = source.sums(image, object).map(sum => (sum === null ? null : formatSums([sum])))
    const { offset, length } = geometry.bytesOf(object, { first: 0, count: blocksPerObject })
    let sha256: string | null = null
    if (source.isHeld(image, offset, length)) {
      const hash = createHash('sha256')
      for (let at = 0; at < length; at += pieceBytes) {
        const bytes = Math.min(pieceBytes, length - at)
        await turns.piece(bytes, 0, signal, async () => {
          hash.update(await source.read(image, offset + at, bytes, { signal, opener: openerOfHops(0) }))
        })
      }
      sha256 = hash.digest('hex')
    }
    sendText(response, JSON.stringify({ object, offset, length, blockBytes: source.blockBytes, sums, sha256 }))
  }

  async #send(
    exchange: Exchange,
    { status, offset, length }: Range & { status: 200 | 206 },
    facts: OutgoingHttpHeaders,
  ) {
    const { source, turns } = this.#parts
    const { image, response, headers } = exchange
    const isMember = headers[rankHeader] !== undefined
    if (isMember && turns.isBusy) return this.#refuseBusy(response, headers)
    const isHeld = source.isHeld(image, offset, length)
    // A new owner waits for what its former owner is reading.
    const mayBring = exchange.mayBring && source.mayBring
    // The member that is waited for may be the one that asks, or wait for it.
    const isLastHop = hopsOfOpener(exchange.options.opener) >= hopsMax
    const mayCircle = !isHeld && isLastHop && source.waitsForMember(image, offset, length)
    if (!isHeld && !mayBring && (mayCircle || !source.isComing(image, offset, length)))
      return refuse(response, 404, this.#unitsFor(image, headers))
    if (mayCircle) return refuse(response, 503)
    const endFill = isHeld ? () => {} : turns.beginFill()
    if (!endFill) return this.#refuseBusy(response, headers)
    const processing = isMember && !isHeld ? setTimeout(() => sayProcessing(response), processingMs) : undefined
    try {
      const range = `bytes ${offset}-${offset + length - 1}/${image.sizeBytes}`
      const head = { ...facts, 'content-length': length, ...(status === 206 ? { 'content-range': range } : {}) }
      const isSummed = isMember && length > 0 && this.#isSummable(image, { offset, length })
      const native = isHeld && length > 0 ? exchange.client : null
      const known = native && isSummed ? recordedSums(source, image, offset, length) : []
      if (native && known) {
        response.writeHead(status, { ...head, ...(isSummed ? { [sumsHeader]: formatSums(known) } : {}) })
        if (status === 206 && exchange.isRepeatable && isSummed === isMember)
          permitLike(this.#parts, {
            ...{ image, offset, length, client: native, isSummed, facts },
            member: headers[memberHeader],
          })
        await this.#sendResident(exchange, native, { offset, length })
        return void response.end()
      }
      const first = isSummed ? length : Math.min(pieceBytes, length)
      await this.#piece(exchange, { offset, length: first }, bytes => {
        clearTimeout(processing)
        const sums = isSummed ? { [sumsHeader]: formatSums(this.#sumsOf(image, offset, bytes)) } : {}
        response.writeHead(status, { ...head, ...sums })
      })
      for (let at = first; at < length; at += pieceBytes)
        await this.#piece(exchange, { offset: offset + at, length: Math.min(pieceBytes, length - at) })
      response.end()
    } finally {
      clearTimeout(processing)
      endFill()
    }
  }

  /**
   * Would this host ask the asker itself? Their views differ, and two that bring for each other wait for each other.
   * Questions that have passed all members are no part of that.
   */
  #isAgainstOrder(headers: IncomingHttpHeaders, image: Image, offset: number): boolean {
    const member = headers[memberHeader]
    if (typeof member !== 'string' || hopsOf(headers) >= hopsMax) return false
    return this.#parts.source.ranksBefore(member, image, offset)
  }

  /** A new owner that asks for them hears which units are here. */
  #unitsFor(image: Image, headers: IncomingHttpHeaders): OutgoingHttpHeaders {
    const { [memberHeader]: member, [unitsHeader]: asks } = headers
    const units = typeof member === 'string' && asks === 'yes' ? this.#parts.source.unitsFor(member, image) : null
    return units ? { [unitsHeader]: Buffer.from(units).toString('base64') } : {}
  }

  #sendResident(exchange: Exchange, client: NativeClient, { offset, length }: Range): Promise<void> {
    const { image, response, headers, options } = exchange
    return sendResidentBody(this.#parts, {
      ...{ image, offset, length, response, client, signal: options.signal },
      onSent: bytes => this.sent.add(headers[memberHeader], bytes),
      bring: (offset, length) => this.#piece(exchange, { offset, length }),
    })
  }

  /** Read a piece and write it; the memory is used again once the kernel has it. */
  #piece(
    { image, response, headers, options, owner }: Exchange,
    { offset, length }: Range,
    begin = (_bytes: Uint8Array) => {},
  ) {
    const { source, turns } = this.#parts
    return turns.piece(length, owner, options.signal, async () => {
      let release = () => {}
      const lend = (then: () => void) => {
        release = then
      }
      const bytes = await source.read(image, offset, length, { ...options, lend })
      try {
        begin(bytes)
        if (length > 0) await writePiece(response, bytes)
        this.sent.add(headers[memberHeader], length)
      } finally {
        release()
      }
    })
  }

  /** Whole blocks of one object, which a member compares as they land. */
  #isSummable({ sizeBytes }: Image, { offset, length }: Range): boolean {
    const { blockBytes } = this.#parts.source
    const objectBytes = blockBytes * blocksPerObject
    const end = offset + length
    const isAligned = offset % blockBytes === 0 && (end % blockBytes === 0 || end === sizeBytes)
    return isAligned && Math.floor(offset / objectBytes) === Math.floor((end - 1) / objectBytes)
  }

  /** Checksums of the first write where they are recorded; else those of the bytes, which have just come. */
  #sumsOf(image: Image, offset: number, bytes: Uint8Array): number[] {
    const { source, crc32c } = this.#parts
    const { blockBytes } = source
    const block = offset / blockBytes
    const recorded = source.sums(image, Math.floor(block / blocksPerObject))
    return Array.from({ length: Math.ceil(bytes.length / blockBytes) }, (_, at) => {
      const own = bytes.subarray(at * blockBytes, (at + 1) * blockBytes)
      return recorded[(block % blocksPerObject) + at] ?? crc32c(own)
    })
  }

  #ownerOf(socket: IncomingMessage['socket'], client: NativeClient | null): number {
    const known = this.#owners.get(socket) ?? ownerOf((client ?? socket).remoteAddress)
    this.#owners.set(socket, known)
    return known
  }

  #redirectionFor(image: Image, asker: string | undefined): string | null {
    return this.#parts.source.redirectionOf(image, url => mayReach(url, asker))
  }

  #refuseBusy(response: ServerResponse, headers: IncomingHttpHeaders): void {
    this.#refused++
    const rank = Number(headers[rankHeader])
    const replicas = Number.isSafeInteger(rank) && rank >= 0 ? Math.min(replicasMax, 2 * (rank + 1)) : 1
    refuse(response, 503, { [replicasHeader]: replicas, 'retry-after': '1' })
  }

  #headOf({ id, modifiedMs }: Image): OutgoingHttpHeaders {
    const modified = modifiedMs > 0 ? { 'last-modified': new Date(modifiedMs).toUTCString() } : {}
    return {
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      etag: entityTag(id),
      [imageIdHeader]: id,
      ...modified,
    }
  }

  #stateOf(image: Image): OutgoingHttpHeaders {
    const { residentBytes, complete } = this.#parts.source.residence(image)
    const digest = this.#parts.source.verifiedDigest(image)
    const isNamed = digest?.algorithm.startsWith('sha-') === true
    const base64 = isNamed ? Buffer.from(digest.hex, 'hex').toString('base64') : ''
    return {
      [residentHeader]: String(residentBytes),
      [completeHeader]: complete ? 'yes' : 'no',
      ...(isNamed ? { 'repr-digest': `${digest.algorithm}=:${base64}:` } : {}),
    }
  }
}

/**
 * May it be sent to the origin? A member knows that itself. Any other client has to begin with it: one that knows the
 * version by our tag, as a parentfs does that has this host for its origin, would meet another one there.
 */
function mayRedirect(headers: IncomingHttpHeaders, { id }: Image, isNamed: boolean): boolean {
  if (headers[rankHeader] !== undefined) return true
  const tags = [headers['if-match'], headers['if-range']].filter(tag => tag !== undefined)
  if (!isNamed || /^parentfs\b/.test(headers['user-agent'] ?? '')) return false
  return tags.length === 0 ? headers.range === undefined : !tags.some(tag => tag.includes(id))
}

/** Another host does not reach what is on this one alone. */
function mayReach(url: string, asker: string | undefined): boolean {
  const isHere = (host: string) => host === 'localhost' || host === '::1' || /^(::ffff:)?127\./.test(host)
  return !isHere(new URL(url).hostname.replace(/^\[|\]$/g, '')) || isHere(asker ?? '')
}

/** Members that the question has passed; one that says nonsense has passed all. */
function hopsOf(headers: IncomingHttpHeaders): number {
  const text = headers[hopHeader]
  if (text === undefined) return 0
  return typeof text === 'string' && /^[0-3]$/.test(text) ? Number(text) : hopsMax
}

/** A number of the address, for turns. */
function ownerOf(address: string | undefined): number {
  return createHash('sha256').update(`${address}`).digest().readUInt32LE(0)
}

function sayProcessing(response: ServerResponse): void {
  if (!response.headersSent && !response.destroyed) response.writeProcessing()
}
