/**
 * Resident bodies: ranges that native threads send, part by part, each in its turn at the rate. A part that is evicted
 * meanwhile comes by the miss path.
 */
import type { ServerResponse } from 'node:http'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { blocksPerObject, type Image } from '../../base/image.ts'
import type { ImageSource } from './image-source.ts'
import { pieceBytes, sentPartBytesMax, sentPartBytesMin } from './limits.ts'
import type { NativeClient } from './serving-connections.ts'
import type { ServingTurns } from './serving-turns.ts'

export interface ResidentBodyContext {
  readonly source: ImageSource
  readonly turns: ServingTurns
}

export interface ResidentBody {
  readonly image: Image
  readonly offset: number
  readonly length: number
  /** Its head is written. */
  readonly response: ServerResponse
  readonly client: NativeClient
  readonly signal: CancelSignal
  /** Hears of bytes as they are sent. */
  readonly onSent: (bytes: number) => void
  /** Writes a piece that is not resident to the response. */
  readonly bring: (offset: number, length: number) => Promise<void>
}

/** Send it all. @throws CacheError what `bring` says, aborted */
export async function sendResidentBody({ source, turns }: ResidentBodyContext, body: ResidentBody): Promise<void> {
  const { image, offset, length, response, client, signal, onSent, bring } = body
  response.flushHeaders()
  const most = partBytesOf(turns)
  let at = 0
  while (at < length) {
    const part = Math.min(most, length - at)
    const file = source.fileOf(image, offset + at, part)
    let sent = 0
    if (file) {
      await turns.rated(part, signal)
      sent = await client.send(response.req.socket, file, offset + at, part)
      turns.returned(part - sent)
      onSent(sent)
    }
    at += sent
    if (sent === part) continue
    const piece = Math.min(pieceBytes, length - at)
    await bring(offset + at, piece)
    at += piece
  }
}

/** The longest part that is sent at once. */
export function partBytesOf({ bytesPerSecond }: Pick<ServingTurns, 'bytesPerSecond'>): number {
  return Math.min(sentPartBytesMax, Math.max(sentPartBytesMin, Math.floor(bytesPerSecond / 20)))
}

/** Checksums of the first write of whole blocks of one object; null where some are not recorded yet. */
export function recordedSums(source: ImageSource, image: Image, offset: number, length: number): number[] | null {
  const first = offset / source.blockBytes
  const count = Math.ceil(length / source.blockBytes)
  const from = first % blocksPerObject
  const sums = source.sums(image, Math.floor(first / blocksPerObject)).slice(from, from + count)
  return sums.length === count && !sums.includes(null) ? (sums as number[]) : null
}
