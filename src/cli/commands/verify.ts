/**
 * `parentfs verify`: compares cached blocks with their checksums and digests, shows the progress, and reports the
 * findings.
 */

import prettyBytes from 'pretty-bytes'
import { requestLong } from '../../admin/progress-client.ts'
import type { Progress } from '../../admin/progress-stream.ts'
import type { VerifiedImage } from '../../cache/integrity/verify-image.ts'
import { createProgressView } from '../output/progress.ts'
import { say } from '../output/terminal-output.ts'
import { findMount, noDaemon } from './target.ts'

/**
 * @param image its name, or null for all
 * @returns the exit code: 0 when all is well, 1 when anything was bad
 * @throws CacheError not-found when no daemon serves the mountpoint, or it has no such image
 */
export async function verify(path: string, image: string | null): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const view = await createProgressView()
  try {
    const onProgress = (progress: Progress) => view.update({ ...progress, phase: `verifying ${progress.phase}` })
    const images = await requestLong(socket, 'verify', { image }, { onProgress })
    if (images === null) throw noDaemon(mountpoint)
    view.stop()
    for (const found of images) say(summaryOf(found))
    if (images.length === 0) say('nothing is held yet')
    return images.some(isBad) ? 1 : 0
  } finally {
    view.stop()
  }
}

function isBad({ corruptBlocks, digest }: VerifiedImage): boolean {
  return corruptBlocks > 0 || digest === 'mismatch'
}

function summaryOf({ name, verifiedBytes, corruptBlocks, complete, digest, problem }: VerifiedImage): string {
  const blocks =
    corruptBlocks === 0 ? 'no damaged block' : `${corruptBlocks} damaged blocks dropped, to be fetched again`
  const whole = {
    none: 'its publisher gives no digest',
    unverified: complete ? 'not compared with its digest' : 'not complete',
    verified: 'as its publisher says',
    mismatch: 'NOT what its publisher says; it is not served',
  }[digest]
  const why = problem === null ? '' : ` (${problem})`
  return `${name}: ${prettyBytes(verifiedBytes, { binary: true })} verified, ${blocks}, ${whole}${why}`
}
