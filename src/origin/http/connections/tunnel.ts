/**
 * A tunnel through an HTTP proxy: CONNECT, and the proxy's answer to it. Source: RFC 9110 9.3.6.
 */
import type { Socket } from 'node:net'
import { CacheError } from '../../../base/errors.ts'
import { hostOf, portOf } from '../protocol/http-url.ts'
import type { HttpProxy } from '../protocol/proxy-rules.ts'
import { parseHead } from '../protocol/response-head.ts'

/** A proxy wants other credentials (407). */
export class ProxyRefused extends CacheError {
  /** Private: the log writes every other field of an error, and these are secret. */
  readonly #sent: Readonly<Record<string, string>>

  constructor({ url, credentials }: HttpProxy, sent: Readonly<Record<string, string>>) {
    const advice = credentials === null ? 'it wants credentials' : 'it wants other credentials'
    super('access-denied', `proxy ${url.origin}: answered 407: ${advice}`)
    this.#sent = sent
  }

  /** The headers that it was sent. */
  get sent(): Readonly<Record<string, string>> {
    return this.#sent
  }
}

/** The authorization header for a proxy. @param headers as its credentials have them */
export function proxyAuthorizationOf({ authorization }: Readonly<Record<string, string>>): Record<string, string> {
  return authorization === undefined ? {} : { 'proxy-authorization': authorization }
}

/**
 * Make `socket`, which is connected to `proxy`, a connection to the server of `url`.
 * @throws ProxyRefused; CacheError origin-unreachable, origin-protocol
 */
export async function openTunnel(socket: Socket, url: URL, proxy: HttpProxy): Promise<void> {
  const sent = (await proxy.credentials?.headers()) ?? {}
  const name = hostOf(url)
  const place = `${name.includes(':') ? `[${name}]` : name}:${portOf(url)}`
  const headers = { host: place, 'user-agent': 'parentfs', ...proxyAuthorizationOf(sent) }
  const lines = Object.entries(headers).map(([header, value]) => `${header}: ${value}\r\n`)
  const answered = answerOn(socket)
  socket.write(`CONNECT ${place} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1')
  const status = await answered
  if (status === 407) throw new ProxyRefused(proxy, sent)
  if (status < 200 || status > 299) {
    throw new CacheError('origin-unreachable', `proxy ${proxy.url.origin}: answered ${status} for ${place}`)
  }
}

/** The status of the answer. Nothing may follow it: in TLS the client speaks first. */
function answerOn(socket: Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const end = (settle: () => void) => {
      socket.off('data', onData)
      socket.pause()
      settle()
    }
    const onData = (bytes: Buffer) => {
      received = Buffer.concat([received, bytes])
      try {
        const parsed = parseHead(received)
        if (!parsed) return
        const { status } = parsed.head
        if (status < 300 && parsed.bytes < received.length) {
          throw new CacheError('origin-protocol', 'the proxy sent more than its answer')
        }
        end(() => resolve(status))
      } catch (error) {
        end(() => reject(error))
      }
    }
    socket.on('data', onData)
  })
}
