/**
 * The thread that receives long ranges: see range-thread.ts, which tells it what to ask for and hears what comes of it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { CacheError, messageOf } from '../errors.ts'
import { RangeConnections, type RangeConnectionsOptions } from './range-connections.ts'
import type { FromRangeThread, ToRangeThread } from './range-messages.ts'

/** How often it is said at most that more has come. */
const progressMs = 100

const connections = new RangeConnections(workerData as RangeConnectionsOptions)
const underWay = new Map<number, AbortController>()

parentPort!.on('message', (message: ToRangeThread) => {
  if (message.kind === 'ask') void ask(message)
  else underWay.get(message.id)?.abort(new CacheError('aborted', 'nobody wants it any more'))
})

/** Never rejects. */
async function ask({ id, url, headers, target }: ToRangeThread & { readonly kind: 'ask' }): Promise<void> {
  const controller = new AbortController()
  underWay.set(id, controller)
  try {
    const answer = await connections.ask({ url: new URL(url), headers, target }, watchOf(id, controller.signal))
    if (!answer) return tell({ kind: 'decline', id })
    const { inPlace, status } = answer
    tell({ kind: 'head', id, status, headers: { ...answer.headers }, isInPlace: inPlace !== null })
    if (!inPlace) return
    try {
      await inPlace.received()
    } finally {
      await inPlace.end()
    }
    tell({ kind: 'over', id, error: null })
  } catch (error) {
    const { code } = error as { readonly code?: unknown }
    tell({ kind: 'over', id, error: { code: typeof code === 'string' ? code : '', message: messageOf(error) } })
  } finally {
    underWay.delete(id)
  }
}

/** The end of an exchange is told by who asked, and so is its time. */
function watchOf(id: number, signal: AbortSignal) {
  let bytes = 0
  let saidMs = performance.now()
  return {
    signal,
    get error() {
      return signal.aborted ? (signal.reason as CacheError) : null
    },
    touch(more: number) {
      bytes += more
      const nowMs = performance.now()
      if (nowMs - saidMs < progressMs) return
      tell({ kind: 'progress', id, bytes })
      bytes = 0
      saidMs = nowMs
    },
  }
}

function tell(message: FromRangeThread): void {
  parentPort!.postMessage(message)
}
