/**
 * Asks a daemon to verify what it holds, and listens until it is done.
 */
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import type { VerificationProgress, VerifiedImage } from '../cache/verification.ts'
import { CacheError, type ErrorCode, messageOf } from '../errors.ts'
import { adminMsMax } from '../limits.ts'
import type { VerificationLine } from './verification-stream.ts'

/**
 * @param image its name, or null for all
 * @returns what was found; null when no daemon is there
 * @throws CacheError not-found, access-denied, closed (it does not answer, or stopped), and what the daemon says
 */
export async function requestVerification(
  socketPath: string,
  image: string | null,
  onProgress: (progress: VerificationProgress) => void,
): Promise<readonly VerifiedImage[] | null> {
  try {
    for await (const line of linesOf(socketPath, JSON.stringify({ image }))) {
      if (line.type === 'found') return line.images
      if (line.type === 'failed') throw new CacheError(line.code as ErrorCode, line.message)
      if (line.progress) onProgress(line.progress)
    }
  } catch (cause) {
    if (cause instanceof CacheError) throw cause
    const code = (cause as NodeJS.ErrnoException).code ?? ''
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return null
    if (code === 'EACCES' || code === 'EPERM') {
      throw new CacheError('access-denied', `${socketPath}: ask as the user who mounted it`, { cause })
    }
    throw new CacheError('closed', `${socketPath}: the daemon does not answer: ${messageOf(cause)}`, { cause })
  }
  throw new CacheError('closed', `${socketPath}: the daemon stopped before it had verified everything`)
}

async function* linesOf(socketPath: string, body: string): AsyncGenerator<VerificationLine> {
  const sent = request({ socketPath, method: 'POST', path: '/verify', agent: false, timeout: adminMsMax })
  sent.on('timeout', () => sent.destroy(new Error(`nothing heard for ${adminMsMax} ms`)))
  sent.end(body)
  try {
    const response = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
      sent.once('response', resolve)
      sent.once('error', reject)
    })
    // Errors after the answer began are the stream's own.
    sent.on('error', () => {})
    for await (const text of createInterface({ input: response })) yield JSON.parse(text) as VerificationLine
  } finally {
    sent.destroy()
  }
}
