/**
 * Permits: a range of an image by its id was decided on, so native threads may answer further ones of that client by
 * themselves, while nothing that the decision came from has changed. See native-bindings/serving/permit.h.
 */
import type { OutgoingHttpHeaders } from 'node:http'
import { blocksPerObject, type Image } from '../../base/image.ts'
import { isMemberId } from '../group/member.ts'
import type { ImageSource } from './image-source.ts'
import { foreignOfferMsMax, offerMsMax } from './limits.ts'
import { partBytesOf } from './resident-body.ts'
import type { NativeClient } from './serving-connections.ts'
import type { ServingTurns } from './serving-turns.ts'

export interface DecidedRange {
  readonly image: Image
  readonly offset: number
  readonly length: number
  readonly client: NativeClient
  /** Its checksums are told. */
  readonly isSummed: boolean
  /** Of each answer, but for length, range and checksums. */
  readonly facts: OutgoingHttpHeaders
  /** The member's header, if it had one. */
  readonly member: string | string[] | undefined
}

interface PermitContext {
  readonly source: ImageSource
  readonly turns: ServingTurns
}

/** Give the client of a held range a permit, and offer the objects of the range. */
export function permitLike({ source, turns }: PermitContext, range: DecidedRange): void {
  const { image, offset, length, client, isSummed, facts, member } = range
  const file = source.fileOf(image, offset, length)
  if (!file) return
  const objectBytes = source.blockBytes * blocksPerObject
  for (let object = Math.floor(offset / objectBytes); object * objectBytes < offset + length; object++) {
    const { known, sums } = isSummed ? sumsOf(source, image, object) : { known: 0n, sums: noSums }
    const ms = source.isForeign(image, object) ? foreignOfferMsMax : offerMsMax
    client.offer(file, object, known, sums, ms)
  }
  client.permit({
    ...{ file, head: headOf(facts), isSummed, rangeBytesMax: partBytesOf(turns) },
    member: typeof member === 'string' && isMemberId(member) ? member : null,
  })
}

const noSums = new Uint8Array(4 * blocksPerObject)

/** Recorded checksums of an object's blocks. */
function sumsOf(source: ImageSource, image: Image, object: number): { known: bigint; sums: Uint8Array } {
  const sums = new Uint32Array(blocksPerObject)
  let known = 0n
  for (const [block, sum] of source.sums(image, object).entries()) {
    if (sum === null) continue
    sums[block] = sum
    known |= 1n << BigInt(block)
  }
  return { known, sums: new Uint8Array(sums.buffer) }
}

/** As Node writes it. The date is that of the permit, which is a second old at most. */
function headOf(facts: OutgoingHttpHeaders): string {
  const all = { ...facts, Date: new Date().toUTCString(), Connection: 'keep-alive' }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 206 Partial Content\r\n${lines.join('')}`
}
