/**
 * Listing of the serving port: a JSON array in the format of nginx's autoindex, which web clients and another parentfs
 * read. It is made while it is sent, as there may be a million names.
 */
import type { ServerResponse } from 'node:http'
import { TimeSlice } from '../../async/time-slice.ts'
import { writePiece } from './answer.ts'
import type { SourceEntry } from './image-source.ts'

/** Letters that are written together. */
const pieceChars = 64 * 1024

/** @throws CacheError aborted when the client has gone */
export async function sendListing(response: ServerResponse, entries: Iterable<SourceEntry>): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  if (response.req.method === 'HEAD') return void response.end()
  const turns = new TimeSlice()
  let text = '[\n'
  let separator = ''
  for (const entry of entries) {
    text += separator + JSON.stringify(lineOf(entry))
    separator = ',\n'
    if (text.length >= pieceChars) {
      await writePiece(response, Buffer.from(text))
      text = ''
    }
    if (turns.isOver) await turns.yield()
  }
  response.end(`${text}\n]\n`)
}

function lineOf({ name, isDirectory, image }: SourceEntry): object {
  if (isDirectory) return { name, type: 'directory' }
  if (!image) return { name, type: 'file' }
  const mtime = image.modifiedMs > 0 ? { mtime: new Date(image.modifiedMs).toUTCString() } : {}
  return { name, type: 'file', ...mtime, size: image.sizeBytes, etag: `"${image.id}"` }
}
