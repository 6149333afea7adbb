/**
 * `parentfs top`: looks at a mount again and again, and shows rates. On a terminal the picture stays in place; on a
 * dumb one, in a pipe, or with `--batch`, pictures follow each other as plain text.
 */

import { fetchStatus } from '../../admin/admin-client.ts'
import type { Status } from '../../admin/status.ts'
import { pause } from '../../async/pause.ts'
import { CacheError } from '../../base/errors.ts'
import { frameOf } from '../output/top-frame.ts'
import { topIntervalMsMin } from './limits.ts'
import { findMount, type Mount, noDaemon } from './target.ts'

export interface TopArguments {
  /** Null: the only mount. */
  readonly path: string | null
  readonly intervalMs: number
  readonly once: boolean
  readonly batch: boolean
}

/** ECMA-48: home and clear to the end; the cursor hidden, and shown. */
const [home, hide, show] = ['\u001b[H\u001b[J', '\u001b[?25l', '\u001b[?25h']
/** The height of a terminal that does not tell. */
const rowsDefault = 40

/**
 * @returns the exit code.
 * @throws CacheError not-found, invalid-argument, access-denied, closed (the daemon has gone)
 */
export async function top({ path, intervalMs, once, batch }: TopArguments): Promise<number> {
  if (intervalMs < topIntervalMsMin) {
    throw new CacheError(
      'invalid-argument',
      `--interval ${intervalMs} ms is too short: give ${topIntervalMsMin}ms or more`,
    )
  }
  const mount = await findMount(path)
  const inPlace = !batch && !once && process.stdout.isTTY === true && process.env.TERM !== 'dumb'
  const leave = new AbortController()
  const stopListening = listen(() => leave.abort())
  if (inPlace) process.stdout.write(hide)
  try {
    await watch(mount, { intervalMs, once, inPlace, signal: leave.signal })
    return 0
  } finally {
    if (inPlace) process.stdout.write(`${show}\n`)
    stopListening()
  }
}

async function watch(
  mount: Mount,
  { intervalMs, once, inPlace, signal }: { intervalMs: number; once: boolean; inPlace: boolean; signal: AbortSignal },
): Promise<void> {
  let before = await look(mount)
  let beforeMs = performance.now()
  while (!signal.aborted) {
    await pause(intervalMs, signal)
    if (signal.aborted) return
    const after = await look(mount)
    const nowMs = performance.now()
    const rows = (inPlace && process.stdout.rows) || rowsDefault
    const frame = frameOf(before, after, { seconds: (nowMs - beforeMs) / 1000, rows })
    process.stdout.write(inPlace ? `${home}${frame}` : `${frame}\n${once ? '' : '\n'}`)
    if (once) return
    before = after
    beforeMs = nowMs
  }
}

async function look({ mountpoint, socket }: Mount): Promise<Status> {
  const status = await fetchStatus(socket)
  if (!status) throw await noDaemon(mountpoint)
  return status
}

/** Hear q and Ctrl-C. @returns how to stop */
function listen(onQuit: () => void): () => void {
  const { stdin } = process
  const onKey = (key: Buffer) => {
    if (['q', 'Q', '\u0003', '\u0004'].includes(key.toString())) onQuit()
  }
  process.on('SIGINT', onQuit)
  process.on('SIGTERM', onQuit)
  const raw = stdin.isTTY === true
  if (raw) stdin.setRawMode(true).on('data', onKey).resume()
  return () => {
    process.off('SIGINT', onQuit)
    process.off('SIGTERM', onQuit)
    if (raw) stdin.setRawMode(false).off('data', onKey).pause()
  }
}
