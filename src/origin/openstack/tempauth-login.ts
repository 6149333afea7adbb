/**
 * Login with the first authentication of Swift (v1), as its tempauth and Ceph's radosgw have it: user and key in the
 * headers of a GET, token and storage URL in those of the answer.
 *
 * Source: Swift documentation, "The Auth System", TempAuth; tried with Swift 2.30 and radosgw 16.2.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { HttpClient } from '../http/http-client.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import { headerOf } from '../http/protocol/response-headers.ts'
import { tokenMsDefault } from './limits.ts'
import type { TokenLogin } from './token-authorizer.ts'

/**
 * Log in.
 * @param client sends user and key, to the host of `authUrl` alone
 * @param authUrl such as `https://host/auth/v1.0`
 * @throws CacheError access-denied, origin-*
 */
export function tempauthLogin(client: HttpClient, authUrl: string, signal: CancelSignal): Promise<TokenLogin> {
  const url = new URL(authUrl)
  return client.exchange({ method: 'GET', url, headers: {} }, signal, async answer => {
    if (answer.status === 401 || answer.status === 403) {
      throw new CacheError('access-denied', `${answer.place}: refuses user and key (${answer.status})`)
    }
    if (answer.status !== 200 && answer.status !== 204) throw failureOf(answer, 'list')
    const [token, storageUrl] = ['x-auth-token', 'x-storage-url'].map(name => headerOf(answer.headers, name))
    if (!token || !storageUrl) throw new CacheError('origin-protocol', `${answer.place}: not the answer to a login`)
    const seconds = Number(headerOf(answer.headers, 'x-auth-token-expires') ?? Number.NaN)
    return {
      token,
      lifetimeMs: seconds > 0 ? seconds * 1000 : tokenMsDefault,
      catalog: [{ type: 'object-store', interface: 'public', region: '', url: storageUrl }],
    }
  })
}
