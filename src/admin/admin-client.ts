/**
 * Asks a daemon through its admin socket.
 */
import { request } from 'node:http'
import { CacheError, type ErrorCode, messageOf } from '../errors.ts'
import { adminAnswerBytesMax, adminMsMax } from '../limits.ts'
import type { AdminError } from './admin-server.ts'
import type { Status } from './status.ts'

/** Nobody listens: no such socket, or one that a dead daemon left. */
const absentCodes = new Set(['ENOENT', 'ECONNREFUSED'])

/**
 * @returns null when no daemon is there
 * @throws CacheError access-denied, closed (it does not answer)
 */
export async function fetchStatus(socketPath: string): Promise<Status | null> {
  const answer = await ask(socketPath, 'GET', '/status', null)
  return answer && (answer.body as Status)
}

/**
 * @returns `absent` when no daemon is there; null when it is unmounted; else why not
 * @throws CacheError access-denied, closed (it does not answer)
 */
export async function requestUnmount(socketPath: string, force: boolean): Promise<AdminError | 'absent' | null> {
  const answer = await ask(socketPath, 'POST', '/unmount', { force })
  if (!answer) return 'absent'
  return answer.status === 200 ? null : (answer.body as AdminError)
}

/**
 * @returns bytes used once they are not over the new capacity (or cannot be helped); null when no daemon is there
 * @throws CacheError invalid-argument, access-denied, closed (it does not answer)
 */
export async function requestCapacity(socketPath: string, capacityBytes: number): Promise<number | null> {
  const answer = await ask(socketPath, 'POST', '/capacity', { capacityBytes })
  if (!answer) return null
  if (answer.status === 200) return (answer.body as { usedBytes: number }).usedBytes
  const { code, message } = answer.body as AdminError
  throw new CacheError(code as ErrorCode, message)
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

async function ask(socketPath: string, method: string, path: string, body: object | null): Promise<Answer | null> {
  try {
    const { status, text } = await exchange(socketPath, method, path, body === null ? '' : JSON.stringify(body))
    return { status, body: JSON.parse(text) as unknown }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? ''
    if (absentCodes.has(code)) return null
    if (code === 'EACCES' || code === 'EPERM') {
      throw new CacheError('access-denied', `${socketPath}: ask as the user who mounted it`, { cause })
    }
    throw new CacheError('closed', `${socketPath}: the daemon does not answer: ${messageOf(cause)}`, { cause })
  }
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
  body: string,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false, timeout: adminMsMax }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        if (text.length > adminAnswerBytesMax) sent.destroy(new Error('its answer is too long'))
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      response.on('error', reject)
    })
    sent.on('timeout', () => sent.destroy(new Error(`nothing heard for ${adminMsMax} ms`)))
    sent.on('error', reject)
    sent.end(body)
  })
}
