/**
 * The admin socket: HTTP on a Unix socket that only its owner can open. It has no state: what it says comes from getters.
 *
 * GET /status answers a {@link Status}; POST /unmount `{"force": false}` answers 200, or 409 with an {@link AdminError}; POST
 * /capacity `{"capacityBytes": n}` answers `{"usedBytes": n}` once that is not over the new capacity, or cannot be helped;
 * POST /verify `{"image": name or null}` answers lines, see verification-stream.ts.
 */
import { chmod, unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { VerificationOptions, VerifiedImage } from '../cache/verification.ts'
import { CacheError, messageOf } from '../errors.ts'
import { adminConnectionsMax, adminMsMax, adminRequestBytesMax, socketPathBytesMax } from '../limits.ts'
import type { Status } from './status.ts'
import { streamVerification } from './verification-stream.ts'

export interface AdminHandlers {
  status(): Status
  /** @returns null when it is unmounted; the daemon is about to go then */
  unmount(force: boolean): Promise<AdminError | null>
  /** @returns bytes used afterwards. @throws CacheError invalid-argument */
  setCapacity(capacityBytes: number): Promise<number>
  /** @param image its name, or null for all. @throws CacheError not-found, aborted */
  verify(image: string | null, options: VerificationOptions): Promise<VerifiedImage[]>
}

/** The body of every answer that is not 200. */
export interface AdminError {
  readonly code: string
  readonly message: string
}

/** An answer: HTTP status and JSON. */
interface Answer {
  readonly status: number
  readonly body: object
}

export class AdminServer {
  readonly path: string
  readonly #server: Server
  /** Fires when what takes long must end. */
  readonly #stop = new AbortController()
  #closing: Promise<void> | undefined

  private constructor(path: string, handlers: AdminHandlers) {
    this.path = path
    this.#server = createServer({ requestTimeout: adminMsMax }, (request, response) => {
      // Both answer their own errors.
      if (request.method === 'POST' && request.url === '/verify') void this.#verify(request, response, handlers)
      else void handle(request, handlers).then(answer => send(response, answer))
    })
    this.#server.maxConnections = adminConnectionsMax
  }

  /**
   * Listen on `path`, mode 0600. A socket that a dead daemon left is replaced.
   * @throws CacheError mount-busy when a daemon answers there, invalid-argument, access-denied
   */
  static async listen(path: string, handlers: AdminHandlers): Promise<AdminServer> {
    // A longer one would be cut, silently.
    if (Buffer.byteLength(path) > socketPathBytesMax) {
      throw new CacheError('invalid-argument', `admin socket ${path}: longer than ${socketPathBytesMax} bytes`)
    }
    const admin = new AdminServer(path, handlers)
    if (await isAnswered(path)) {
      throw new CacheError('mount-busy', `another parentfs daemon has this mountpoint: it answers on ${path}`)
    }
    await unlink(path).catch(() => {})
    await new Promise<void>((resolve, reject) => {
      const fail = (cause: Error) => {
        reject(new CacheError('access-denied', `admin socket ${path}: ${messageOf(cause)}`, { cause }))
      }
      admin.#server.once('error', fail)
      admin.#server.listen(path, () => {
        admin.#server.off('error', fail)
        resolve()
      })
    })
    await chmod(path, 0o600)
    return admin
  }

  /** Answer what is under way, then go; the socket is removed. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #verify(request: IncomingMessage, response: ServerResponse, handlers: AdminHandlers): Promise<void> {
    try {
      const image = readImage(await readBody(request))
      await streamVerification(response, options => handlers.verify(image, options), this.#stop.signal)
    } catch (error) {
      send(response, { status: 400, body: problem('invalid-argument', messageOf(error)) })
    }
  }

  async #close(): Promise<void> {
    this.#stop.abort()
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    const timer = setTimeout(() => this.#server.closeAllConnections(), adminMsMax)
    await closed
    clearTimeout(timer)
  }
}

async function handle(request: IncomingMessage, handlers: AdminHandlers): Promise<Answer> {
  try {
    const route = `${request.method} ${request.url}`
    if (route === 'GET /status') return { status: 200, body: handlers.status() }
    if (route === 'POST /unmount') {
      const refusal = await handlers.unmount(readForce(await readBody(request)))
      return refusal ? { status: 409, body: refusal } : { status: 200, body: {} }
    }
    if (route === 'POST /capacity') {
      const usedBytes = await handlers.setCapacity(readCapacity(await readBody(request)))
      return { status: 200, body: { usedBytes } }
    }
    return { status: 404, body: problem('not-found', `there is no ${route}`) }
  } catch (error) {
    if (error instanceof CacheError) return { status: 400, body: problem(error.code, error.message) }
    return { status: 500, body: problem('closed', messageOf(error)) }
  }
}

function problem(code: string, message: string): AdminError {
  return { code, message }
}

function send(response: ServerResponse, { status, body }: Answer): void {
  // One request a connection: whoever asks next may mean the next daemon.
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(`${JSON.stringify(body)}\n`)
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > adminRequestBytesMax) throw new CacheError('invalid-argument', 'the request is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function readForce(body: string): boolean {
  const force = readObject(body).force ?? false
  if (typeof force !== 'boolean') throw new CacheError('invalid-argument', '"force" is not true or false')
  return force
}

function readImage(body: string): string | null {
  const { image = null } = readObject(body)
  if (image !== null && typeof image !== 'string') throw new CacheError('invalid-argument', '"image" is not a name')
  return image
}

function readCapacity(body: string): number {
  const { capacityBytes } = readObject(body)
  if (!Number.isSafeInteger(capacityBytes)) throw new CacheError('invalid-argument', '"capacityBytes" is not a number')
  return capacityBytes as number
}

function readObject(body: string): Record<string, unknown> {
  try {
    return (JSON.parse(body || '{}') ?? {}) as Record<string, unknown>
  } catch {
    throw new CacheError('invalid-argument', 'the request is not JSON')
  }
}

/** Does somebody listen there? */
function isAnswered(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
