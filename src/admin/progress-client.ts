/**
 * Asks a daemon for work that takes long, and listens until it is done.
 */
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { pause } from '../async/pause.ts'
import { CacheError, type ErrorCode, isCacheError } from '../base/errors.ts'
import type { EvictedImage } from '../cache/evict/evictor.ts'
import type { VerifiedImage } from '../cache/integrity/verify-image.ts'
import type { EmptiedCache } from '../cache/operations/empty-cache.ts'
import type { PreloadedImage } from '../cache/operations/preload-image.ts'
import type { PromotedMember } from '../fleet/asking/group-promotion.ts'
import type { ComparedLocation } from '../origin/locations/compare-locations.ts'
import { absentOrThrow, whyNobody } from './admin-client.ts'
import { adminMsMax, longResumesMax, successorLookMs } from './limits.ts'
import type { Progress, ProgressLine } from './progress-stream.ts'
import type { AdminError } from './routes.ts'
import { successorWaitMs } from './supervisor-presence.ts'

/** Parameters and results of each long request. */
export interface LongRequests {
  verify: { readonly asked: { readonly image: string | null }; readonly result: readonly VerifiedImage[] }
  'verify-locations': { readonly asked: { readonly image: string }; readonly result: readonly ComparedLocation[] }
  evict: { readonly asked: { readonly image: string }; readonly result: EvictedImage }
  'evict-all': { readonly asked: { readonly origin: string | null }; readonly result: EmptiedCache }
  drain: { readonly asked: { readonly origin: string | null }; readonly result: EmptiedCache }
  'fleet/promote': { readonly asked: { readonly image: string }; readonly result: readonly PromotedMember[] }
  remove: { readonly asked: { readonly origin: string }; readonly result: EmptiedCache }
  promote: {
    readonly asked: {
      readonly image: string
      readonly ranges: readonly { readonly from: number; readonly to: number }[] | null
    }
    readonly result: PreloadedImage
  }
}

export interface LongRequestOptions {
  readonly onProgress: (progress: Progress) => void
  /** Leave: the daemon ends the work. */
  readonly signal?: AbortSignal
}

/**
 * Asks for long work. Where a worker dies or is replaced meanwhile, its successor is asked for the same, and goes on
 * from the work done.
 * @returns the result; null when no daemon is there
 * @throws CacheError not-found, access-denied, closed (it does not answer, or has no successor), aborted, and the
 * daemon's own errors
 */
export async function requestLong<K extends keyof LongRequests>(
  socketPath: string,
  what: K,
  asked: LongRequests[K]['asked'],
  { onProgress, signal }: LongRequestOptions,
): Promise<LongRequests[K]['result'] | null> {
  let [heardMs, cuts] = [performance.now(), 0]
  for (;;) {
    try {
      for await (const line of linesOf(socketPath, `/${what}`, JSON.stringify(asked), signal)) {
        heardMs = performance.now()
        if (line.type === 'done') return line.result as LongRequests[K]['result']
        if (line.type === 'failed') throw new CacheError(line.code as ErrorCode, line.message)
        if (line.progress) onProgress(line.progress)
      }
    } catch (cause) {
      if (isCacheError(cause)) throw cause
      if (signal?.aborted) throw new CacheError('aborted', 'interrupted', { cause })
      const why = whyNobody(cause)
      if (why === 'lost') cuts++
      const isLate = performance.now() >= heardMs + successorWaitMs(socketPath)
      if (!why || isLate || cuts > longResumesMax) {
        if (cuts === 0) return absentOrThrow(socketPath, cause)
        const advice = 'run the command again once it is mounted'
        throw new CacheError('closed', `${socketPath}: the daemon stopped before it was done: ${advice}`, { cause })
      }
    }
    await pause(successorLookMs)
  }
}

async function* linesOf(
  socketPath: string,
  path: string,
  body: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ProgressLine> {
  const options = { socketPath, method: 'POST', path, agent: false, timeout: adminMsMax, ...(signal ? { signal } : {}) }
  const sent = request(options)
  sent.on('timeout', () => sent.destroy(new Error(`nothing heard for ${adminMsMax} ms`)))
  sent.end(body)
  try {
    const response = await new Promise<NodeJS.ReadableStream & { statusCode?: number }>((resolve, reject) => {
      sent.once('response', resolve)
      sent.once('error', reject)
    })
    // Errors after the answer began are the stream's own.
    sent.on('error', () => {})
    for await (const text of createInterface({ input: response })) {
      const line = JSON.parse(text) as unknown
      if (response.statusCode === 200) yield line as ProgressLine
      else yield { type: 'failed', ...(line as AdminError) }
    }
    // A connection that was cut ends like an answer that has ended.
    if (signal?.aborted) throw new CacheError('aborted', 'interrupted')
    throw Object.assign(new Error('the answer was cut off'), { code: 'ECONNRESET' })
  } finally {
    sent.destroy()
  }
}
