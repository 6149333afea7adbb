/**
 * Progress stream of long work: a line of JSON for each step and, at the end, one for the result.
 *
 * A line comes at least once a second, so that the client knows that the work goes on; a client that leaves ends it.
 */
import type { ServerResponse } from 'node:http'
import { PeriodicTask } from '../async/periodic-task.ts'
import { isCacheError, messageOf } from '../base/errors.ts'
import type { LongOptions } from '../cache/operations/operations.ts'

/** The progress of some work. */
export interface Progress {
  /** The image, as status names it. */
  readonly name: string
  readonly phase: string
  readonly doneBytes: number
  readonly totalBytes: number
}

/** One line. */
export type ProgressLine =
  | { readonly type: 'progress'; readonly progress: Progress | null }
  | { readonly type: 'done'; readonly result: unknown }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }

/** Pause between two lines about one image, and the longest silence, in milliseconds. */
const progressMs = 100
const silenceMsMax = 1000

/** Answer with the lines of `work`; `stop` ends it. Never rejects. */
export async function streamProgress(
  response: ServerResponse,
  work: (options: LongOptions<Progress>) => Promise<unknown>,
  stop: AbortSignal,
): Promise<void> {
  const left = new AbortController()
  response.once('close', () => left.abort())
  if (response.destroyed) left.abort()
  response.writeHead(200, { 'content-type': 'application/x-ndjson', connection: 'close' })
  const say = (line: ProgressLine) => void response.write(`${JSON.stringify(line)}\n`)
  let progress: Progress | null = null
  let saidMs = performance.now()
  const sayProgress = () => {
    saidMs = performance.now()
    // A client that stands still gets the next line once it has taken what is there.
    if (!response.writableNeedDrain) say({ type: 'progress', progress })
  }
  const heartbeat = new PeriodicTask(silenceMsMax, sayProgress)
  heartbeat.start()
  const onProgress = (next: Progress) => {
    const begins = progress?.name !== next.name || progress.phase !== next.phase
    progress = next
    if (begins || performance.now() - saidMs >= progressMs) sayProgress()
  }
  try {
    say({ type: 'done', result: await work({ signal: AbortSignal.any([left.signal, stop]), onProgress }) })
  } catch (error) {
    // Our end is not its failure: cut off, the client asks our successor.
    if (stop.aborted) response.destroy()
    else say({ type: 'failed', code: isCacheError(error) ? error.code : 'closed', message: messageOf(error) })
  } finally {
    heartbeat.stop()
    response.end()
  }
}
