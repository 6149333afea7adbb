/**
 * `parentfs promote`: brings an image, or ranges of it, into the cache. After an interruption the same command goes on
 * from there.
 */

import { requestLong } from '../../admin/progress-client.ts'
import type { Progress } from '../../admin/progress-stream.ts'
import { isCacheError } from '../../base/errors.ts'
import { interruptedExitCode } from '../output/exit-codes.ts'
import { createProgressView } from '../output/progress.ts'
import { size } from '../output/tables.ts'
import { remark, say } from '../output/terminal-output.ts'
import { findImage, noDaemon } from './target.ts'

/**
 * @param image its name or path
 * @param ranges empty for the whole image
 * @param path of the mount; null: as the image says, or the only one
 * @returns the exit code
 * @throws CacheError not-found, invalid-argument, overloaded (no room), store-failed, image-*, origin-*, access-denied,
 * closed
 */
export async function promote(
  image: string,
  ranges: readonly { readonly from: number; readonly to: number }[],
  path: string | null,
): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  const view = await createProgressView()
  const left = new AbortController()
  const leave = () => left.abort()
  process.once('SIGINT', leave)
  process.once('SIGTERM', leave)
  let last: Progress | null = null
  const onProgress = (progress: Progress) => {
    last = progress
    view.update(progress)
  }
  try {
    const asked = { image: name, ranges: ranges.length > 0 ? ranges : null }
    const promoted = await requestLong(socket, 'promote', asked, { onProgress, signal: left.signal })
    if (!promoted) throw await noDaemon(mountpoint)
    view.stop()
    const { promotedBytes, presentBytes, complete } = promoted
    const whole = complete ? 'the image is complete' : 'the image is not complete'
    say(`${name}: ${size(promotedBytes)} promoted, ${size(presentBytes)} were there; ${whole}`)
    return 0
  } catch (error) {
    view.stop()
    if (!left.signal.aborted || !isCacheError(error, 'aborted')) throw error
    remark(`parentfs: interrupted${reached(name, last)}`)
    return interruptedExitCode
  } finally {
    view.stop()
    process.off('SIGINT', leave)
    process.off('SIGTERM', leave)
  }
}

function reached(name: string, last: Progress | null): string {
  if (!last) return ''
  return `: ${size(last.doneBytes)} of ${size(last.totalBytes)} of ${name} are there; the same command goes on from there`
}
