/**
 * A verification as an answer that goes on: a line of JSON each for how far it is and, at the end, for what was found.
 *
 * A line comes at least once a second, so that whoever waits knows that somebody is at work; a caller who leaves ends it.
 */
import type { ServerResponse } from 'node:http'
import type { VerificationOptions, VerificationProgress, VerifiedImage } from '../cache/verification.ts'
import { isCacheError, messageOf } from '../errors.ts'

/** One line. */
export type VerificationLine =
  | { readonly type: 'progress'; readonly progress: VerificationProgress | null }
  | { readonly type: 'found'; readonly images: readonly VerifiedImage[] }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }

/** Pause between two lines about one image, and the longest silence, in milliseconds. */
const progressMs = 100
const silenceMsMax = 1000

/** Answer with the lines of `verify`; `stop` ends it. Never rejects. */
export async function streamVerification(
  response: ServerResponse,
  verify: (options: VerificationOptions) => Promise<VerifiedImage[]>,
  stop: AbortSignal,
): Promise<void> {
  const left = new AbortController()
  response.once('close', () => left.abort())
  response.writeHead(200, { 'content-type': 'application/x-ndjson', connection: 'close' })
  const say = (line: VerificationLine) => void response.write(`${JSON.stringify(line)}\n`)
  let progress: VerificationProgress | null = null
  let saidMs = performance.now()
  const sayProgress = () => {
    saidMs = performance.now()
    say({ type: 'progress', progress })
  }
  const heartbeat = setInterval(sayProgress, silenceMsMax)
  const onProgress = (next: VerificationProgress) => {
    const begins = progress?.name !== next.name || progress.phase !== next.phase
    progress = next
    if (begins || performance.now() - saidMs >= progressMs) sayProgress()
  }
  try {
    say({ type: 'found', images: await verify({ signal: AbortSignal.any([left.signal, stop]), onProgress }) })
  } catch (error) {
    say({ type: 'failed', code: isCacheError(error) ? error.code : 'closed', message: messageOf(error) })
  } finally {
    clearInterval(heartbeat)
    response.end()
  }
}
