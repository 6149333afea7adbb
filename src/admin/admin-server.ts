/**
 * The admin socket: HTTP on a Unix socket, without state. routes.ts has the questions and their answers.
 *
 * Only root and the user of the daemon are served. The mode of the socket says so, and the credentials of each
 * connection are checked as well, because a mode can be changed.
 */
import { lstatSync } from 'node:fs'
import { chmod, unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { CacheError, isCacheError, messageOf } from '../base/errors.ts'
import { adminConnectionsMax, adminDrainMsMax, adminMsMax, adminRequestBytesMax, socketPathBytesMax } from './limits.ts'
import { streamProgress } from './progress-stream.ts'
import {
  type AdminAnswer,
  type AdminError,
  type AdminHandlers,
  answers,
  lines,
  type TextAnswer,
  texts,
} from './routes.ts'

/** Path below which the page is: docs/WEB.md. */
const pagePath = '/web/'

/** The users that are served. */
export interface Admission {
  /** The user at the other end of a connected Unix socket. @throws SystemError */
  peerUid(fd: number): number
  /** The user of the daemon. */
  readonly uid: number
}

export class AdminServer {
  readonly path: string
  readonly #server: Server
  /** Fires when what takes long must end. */
  readonly #stop = new AbortController()
  /** Connections whose request has not come whole. */
  readonly #unheard = new Set<Socket>()
  #refused = 0
  #closing: Promise<void> | undefined

  private constructor(path: string, handlers: AdminHandlers, admission: Admission) {
    this.path = path
    this.#server = createServer({ requestTimeout: adminMsMax }, (request, response) => {
      void this.#answer(request, response, handlers, admission) // Never rejects.
    })
    this.#server.maxConnections = adminConnectionsMax
    this.#server.on('connection', socket => {
      this.#unheard.add(socket)
      socket.once('close', () => this.#unheard.delete(socket))
    })
    this.#server.on('drop', () => this.#refused++)
  }

  /** Connections over the bound. */
  get refused(): number {
    return this.#refused
  }

  /**
   * Listen on `path`, mode 0600. A socket that a dead daemon left is replaced; anything else that lies there stays.
   * @throws CacheError mount-busy when a daemon answers there, invalid-argument, access-denied
   */
  static async listen(path: string, handlers: AdminHandlers, admission: Admission): Promise<AdminServer> {
    // A longer one would be cut, silently.
    if (Buffer.byteLength(path) > socketPathBytesMax) {
      throw new CacheError('invalid-argument', `admin socket ${path}: longer than ${socketPathBytesMax} bytes`)
    }
    const admin = new AdminServer(path, handlers, admission)
    mustBeReplaceable(path, admission)
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

  /** Answer what is under way, for a while, then go; the socket is removed. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    handlers: AdminHandlers,
    admission: Admission,
  ): Promise<void> {
    try {
      mustBeHeard(request.socket, admission)
      if (request.url?.startsWith(pagePath)) {
        this.#unheard.delete(request.socket)
        return await handlers.web(request.url.slice(pagePath.length), request, response)
      }
      const route = `${request.method} ${request.url}`
      const body = parse(await readBody(request))
      this.#unheard.delete(request.socket)
      if (lines[route]) await streamProgress(response, lines[route](body, handlers), this.#stop.signal)
      else if (texts[route]) sendText(response, await texts[route](handlers))
      else if (answers[route]) send(response, await answers[route](body, handlers))
      else send(response, { status: 404, body: problem('not-found', `there is no ${route}`) })
    } catch (error) {
      const code = isCacheError(error) ? error.code : 'closed'
      const status = code === 'access-denied' ? 403 : isCacheError(error) ? 400 : 500
      send(response, { status, body: problem(code, messageOf(error)) })
    }
  }

  async #close(): Promise<void> {
    this.#stop.abort()
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const socket of this.#unheard) socket.destroy()
    const timer = setTimeout(() => this.#server.closeAllConnections(), adminDrainMsMax)
    await closed
    clearTimeout(timer)
  }
}

/** @throws CacheError access-denied */
function mustBeHeard(socket: Socket, { peerUid, uid }: Admission): void {
  // Node has no public name for the descriptor of a socket; without one, no request is served.
  const { fd = -1 } = (socket as Socket & { readonly _handle?: { readonly fd?: number } })._handle ?? {}
  const peer = fd >= 0 ? peerUid(fd) : null
  if (peer === 0 || peer === uid) return
  throw new CacheError('access-denied', `only root and user ${uid} may ask this daemon: ask as one of them`)
}

/** @throws CacheError access-denied when something lies there that is no socket of ours */
function mustBeReplaceable(path: string, { uid }: Admission): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (!stat || (stat.isSocket() && stat.uid === uid)) return
  const what = stat.isSocket() ? `a socket of user ${stat.uid}` : 'not a socket'
  throw new CacheError('access-denied', `admin socket ${path}: what lies there is ${what}: remove it`)
}

function problem(code: string, message: string): AdminError {
  return { code, message }
}

function send(response: ServerResponse, { status, body }: AdminAnswer): void {
  write(response, status, { type: 'application/json', text: `${JSON.stringify(body)}\n` })
}

function sendText(response: ServerResponse, answer: TextAnswer): void {
  write(response, 200, answer)
}

function write(response: ServerResponse, status: number, { type, text }: TextAnswer): void {
  // One request a connection: the next request may be meant for the next daemon.
  response.writeHead(status, { 'content-type': type, connection: 'close' })
  response.end(text)
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

/** @throws CacheError invalid-argument */
function parse(body: string): unknown {
  try {
    return JSON.parse(body || '{}') ?? {}
  } catch {
    throw new CacheError('invalid-argument', 'the request is not JSON')
  }
}

/** Is there a listener? */
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
