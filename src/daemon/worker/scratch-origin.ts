/**
 * Scratch origin: one image for the warm-up, as a file, and on a Unix socket as a web server sends it.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

export const scratchImage = { name: 'image', etag: '"1"' } as const

/** Bytes that are neither zero nor alike: every block is written as data. */
export function scratchBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += 4096) bytes.writeUInt32LE(at + 1, at)
  return bytes
}

/** A web server with that image, for users who may open the socket. */
export class ScratchOrigin {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** @throws SystemError */
  static async listen(socket: string, bytes: Uint8Array): Promise<ScratchOrigin> {
    const server = createServer((request, response) => answer(request, response, bytes))
    server.listen(socket)
    await once(server, 'listening')
    return new ScratchOrigin(server)
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

function answer({ method, url, headers }: IncomingMessage, response: ServerResponse, bytes: Uint8Array): void {
  if (url !== `/${scratchImage.name}`) {
    response.setHeader('content-type', 'application/json')
    return void response.end(JSON.stringify([{ name: scratchImage.name, type: 'file', size: bytes.length }]))
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
  const body = first === undefined ? bytes : bytes.subarray(Number(first), Number(last) + 1)
  const range = first === undefined ? {} : { 'content-range': `bytes ${first}-${last}/${bytes.length}` }
  response.writeHead(first === undefined ? 200 : 206, {
    ...range,
    'content-length': body.length,
    'accept-ranges': 'bytes',
    etag: scratchImage.etag,
  })
  response.end(method === 'HEAD' ? undefined : body)
}
