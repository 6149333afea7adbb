/**
 * Connects to an NBD server, and has the connection encrypted where the URL says so: never in the clear instead.
 */
import { CacheError } from '../../base/errors.ts'
import { OptionRefused } from './nbd-errors.ts'
import { NbdSocket } from './nbd-socket.ts'
import type { NbdPlace } from './nbd-url.ts'
import { askForTls, greet } from './negotiation.ts'
import { type NbdTls, tlsOptionsOf } from './tls-options.ts'

/**
 * A connection on which options can be asked. It ends by itself unless it enters an export in time.
 * @throws CacheError, OptionRefused, Error of the socket
 */
export async function dial({ address, isTls }: NbdPlace, tls: NbdTls, msMax: number): Promise<NbdSocket> {
  const options = isTls ? await tlsOptionsOf(tls, 'host' in address ? address.host : 'localhost') : null
  const socket = new NbdSocket(address, isTls, msMax)
  try {
    await greet(socket)
    if (options !== null) {
      await askForTls(socket).catch(withoutTls)
      await socket.upgrade(options)
    }
    return socket
  } catch (error) {
    socket.fail(error)
    throw error
  }
}

function withoutTls(cause: unknown): never {
  if (!(cause instanceof OptionRefused)) throw cause
  const message = 'the server has no TLS, which this URL asks for: give it TLS, or write nbd:// or nbd+unix://'
  throw new CacheError('origin-unsupported', message, { cause })
}
